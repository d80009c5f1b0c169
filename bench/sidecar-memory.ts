// What sidecars at rest weigh: a mesh with so many of them, each process's resident and proportional set size.
//   node bench/sidecar-memory.ts [SIDECARS]     default 10; needs namespaces
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { startMesh } from '#local'

const count = Number(process.argv[2] ?? 10)
const dir = mkdtempSync(join(tmpdir(), 'kith-bench-'))
writeFileSync(join(dir, 'kith.yaml'), 'apiVersion: kith.dev/v1alpha1\nkind: LocalMesh\nspec:\n  images:\n    bench/rest: {command: [sleep, infinity]}\n')
writeFileSync(join(dir, 'mesh.yaml'), `apiVersion: v1\nkind: Namespace\nmetadata: {name: bench, labels: {istio-injection: enabled}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: rest, namespace: bench}\nspec:\n  replicas: ${count}\n  selector: {matchLabels: {app: rest}}\n  template:\n    metadata: {labels: {app: rest}}\n    spec:\n      containers: [{name: rest, image: 'bench/rest:1'}]\n`)

/** Sidecars of this bench, by what they were given; a process that is not ours to read is none of them. */
function sidecars(): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('agent/main.ts') && readFileSync(`/proc/${pid}/environ`, 'utf8').includes('POD_NAMESPACE=bench\0')
    } catch {
      return false
    }
  })
}

const mesh = await startMesh({ dir })
try {
  await mesh.waitReady(120_000)
  await pause(5000)
  const rows = sidecars().map((pid) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
    const mb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0) / 1024
    return { rss: mb('Rss'), pss: mb('Pss') }
  })
  const middle = (of: 'rss' | 'pss'): string => rows.map((r) => r[of]).sort((a, b) => a - b)[Math.floor(rows.length / 2)]?.toFixed(1) ?? '-'
  const most = (of: 'rss' | 'pss'): string => Math.max(...rows.map((r) => r[of])).toFixed(1)
  process.stdout.write(`${rows.length} sidecars at rest: resident ${middle('rss')} MB (most ${most('rss')}), proportional ${middle('pss')} MB (most ${most('pss')})\n`)
} finally {
  await mesh.down()
  rmSync(dir, { recursive: true, force: true })
}
