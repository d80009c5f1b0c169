// What the commands cost that answer and end: wall time and CPU (user + system) of whole processes, interleaved; medians, and the best.
//   node bench/start-up.ts [ROUNDS] [--against CHECKOUT] [--inputs FOLDER]     default 15 rounds; CHECKOUT: another checkout of Kith, for ratios of one run.
// Inputs: 50 documents each, made here, or FOLDER's analyze-50/, inject-50.yaml and validate-50.yaml. `node` is Node's own start. A loaded machine doubles everything: compare ratios.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeCommands } from '../scripts/make-commands.ts'

const home = join(import.meta.dirname, '..')
const { values, positionals } = parseArgs({ allowPositionals: true, options: { against: { type: 'string' }, inputs: { type: 'string' } } })
const own = mkdtempSync(join(tmpdir(), 'kith-start-up-'))
try {
  await makeCommands(process.execPath)
  measure(values.inputs ?? inputs(own), Number(positionals[0] ?? 15))
} finally {
  rmSync(own, { recursive: true, force: true })
}

function measure(from: string, rounds: number): void {
  const asked: Record<string, readonly string[]> = {
    explain: ['explain', 's1.big', 'http://s2.big:80/', '-f', join(from, 'analyze-50')],
    'kube-inject': ['kube-inject', '-f', join(from, 'inject-50.yaml')],
    analyze: ['analyze', '--use-kube=false', '-A', join(from, 'analyze-50')],
    validate: ['validate', '-f', join(from, 'validate-50.yaml')],
  }
  const rows = new Map<string, [number, number][]>([['node', []]])
  const sides = [['', home], ...(values.against === undefined ? [] : [['before', values.against]])] as const
  for (let round = -1; round < rounds; round++) {
    const took = new Map([['node', time([process.execPath, '-e', '0'])]])
    for (const [name, args] of Object.entries(asked)) for (const [side, checkout] of sides) took.set(`${name} ${side}`.trim(), time([join(checkout, 'bin/kith'), ...args]))
    // The first round fills caches.
    if (round >= 0) for (const [name, t] of took) rows.set(name, [...(rows.get(name) ?? []), t])
  }
  const of = (name: string): string => [0, 1].map((i) => {
    const all = (rows.get(name) ?? []).map((t) => t[i] as number).sort((a, b) => a - b)
    return `${String(all[all.length >> 1]).padStart(5)} (best ${String(all[0]).padStart(4)})`
  }).join('  ')
  process.stdout.write(`${''.padEnd(20)} wall ms           CPU ms\n${[...rows.keys()].map((name) => `${name.padEnd(20)}${of(name)}\n`).join('')}`)
}

/** By bash's own clock: wall, user + system of the command and all that it started, in milliseconds. */
function time(command: readonly string[]): [number, number] {
  const script = 'TIMEFORMAT="%3R %3U %3S"; { time "$@" >/dev/null 2>/dev/null; } 2>&1; true'
  const [wall = 0, user = 0, system = 0] = execFileSync('bash', ['-c', script, 'bash', ...command], { encoding: 'utf8' }).trim().split(' ').map(Number)
  return [Math.round(wall * 1000), Math.round((user + system) * 1000)]
}

function inputs(folder: string): string {
  const service = (i: number): string => `apiVersion: v1
kind: Service
metadata: {name: s${i}, namespace: big}
spec:
  selector: {app: s${i}}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Pod
metadata: {name: s${i}, namespace: big, labels: {app: s${i}, version: v1}}
spec:
  containers:
  - {name: app, image: example.com/app:1}
  - {name: istio-proxy, image: example.com/proxy:1}
---
${route(`s${i}`, i)}`
  const route = (name: string, i: number): string => `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}, namespace: big}
spec:
  hosts: [s${i}]
  http:
  - route:
    - destination: {host: s${(i + 1) % 16}}
`
  const deployment = (i: number): string => `apiVersion: apps/v1
kind: Deployment
metadata: {name: web-${i}, namespace: shop}
spec:
  selector:
    matchLabels: {app: web-${i}}
  template:
    metadata:
      labels: {app: web-${i}}
    spec:
      containers:
      - name: web
        image: example.com/web:1.2
        ports:
        - {containerPort: 8080, name: http}
        readinessProbe:
          httpGet: {path: /ready, port: http}
`
  const some = (n: number, make: (i: number) => string): string => Array.from({ length: n }, (_, i) => make(i)).join('---\n')
  const around = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: big, labels: {istio-injection: enabled}}\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: big}\nspec: {mtls: {mode: STRICT}}\n'
  mkdirSync(join(folder, 'analyze-50'))
  writeFileSync(join(folder, 'analyze-50/around.yaml'), around)
  writeFileSync(join(folder, 'analyze-50/services.yaml'), some(16, service))
  writeFileSync(join(folder, 'inject-50.yaml'), some(50, deployment))
  writeFileSync(join(folder, 'validate-50.yaml'), some(50, (i) => route(`n${i}`, i % 16)))
  return folder
}
