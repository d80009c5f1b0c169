// Runs the walkthrough in a mesh of its own: explain first, then the call, then both side by side.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { formatExplanation } from '#insight'
import { buildMesh, type Mesh } from '#mesh'
import type { MeshHandle } from '#local'
import { formatProblem } from '../problems.ts'
import { showsColours } from '../terminal.ts'
import { compareCall, expectCall, type Row } from './expected.ts'
import { ending, walkthroughDir } from './folder.ts'
import { enter } from './key.ts'
import { clientArguments, measure } from './measure.ts'
import { callTable, paint, podTable, readyText, stepTitle, tryNext, yamlBlock } from './screen.ts'
import { meshFile, steps, type DemoCall } from './steps.ts'

export interface WalkthroughOptions {
  /** Never wait for a key. */
  readonly yes: boolean
  readonly print: (text: string) => void
  /** performance.now() of the process's start. */
  readonly startedMs: number
}

/** Everything that differed from what was explained; empty = all as said. */
export async function walk(mesh: MeshHandle, options: WalkthroughOptions): Promise<string[]> {
  const { print } = options
  const wrong: string[] = []
  let proven = false
  for (const [i, step] of steps.entries()) {
    print(stepTitle(i + 1, step))
    if (i === 0) print(yamlSummary())
    for (const file of step.remove) {
      print(yamlBlock('remove', file, ''))
      await change(mesh, 'delete', file)
    }
    for (const file of step.apply) {
      print(yamlBlock('apply', file, text(file)))
      await change(mesh, 'apply', file)
    }
    if (step.pods === true) await mesh.waitReady()
    const rows = await makeCalls(mesh, step.calls, (row) => {
      if (proven || row.measured.outcome !== 'mtls') return
      proven = true
      print(paint('dim', `  first proven mutual TLS ${((performance.now() - options.startedMs) / 1000).toFixed(1)} s after start\n`))
    })
    print(callTable(rows))
    wrong.push(...rows.flatMap((r) => r.differences.map((d) => `step ${i + 1}: ${r.call.from} → ${r.call.to}: ${d}`)))
    for (const call of step.explain) print(`${paint('cyan', `  kith explain ${call.from} ${call.to}`)}\n${formatExplanation(expectCall(await currentMesh(mesh), call), { colour: showsColours() }).split('\n').map((l) => (l === '' ? '' : `  ${l}`)).join('\n')}`)
    if (step.pods === true) wrong.push(...(await showPods(mesh, print)))
    print(tryNext(step.tryNext))
    if (!options.yes && i < steps.length - 1) await enter(paint('dim', `  ${step.title}: done. Enter goes on, Ctrl-C ends. `))
  }
  return wrong
}

async function makeCalls(mesh: MeshHandle, calls: readonly DemoCall[], each: (row: Row) => void): Promise<Row[]> {
  const now = await currentMesh(mesh)
  const expected = calls.map((call) => expectCall(now, call))
  const curl = hasCurl()
  const rows: Row[] = []
  for (const [i, call] of calls.entries()) {
    const run = await mesh.exec(call.from, clientArguments(curl, call.to, process.execPath, join(walkthroughDir, `client${ending}`)), { timeoutMs: 15_000 })
    const row = compareCall(call, expected[i] as Row['expected'], measure(run))
    each(row)
    rows.push(row)
  }
  return rows
}

async function currentMesh(mesh: MeshHandle): Promise<Mesh> {
  return buildMesh(await mesh.objects())
}

async function change(mesh: MeshHandle, action: 'apply' | 'delete', file: string): Promise<void> {
  const { problems } = await mesh[action](text(file), join(walkthroughDir, file))
  const fatal = problems.find((p) => p.severity === 'error')
  if (fatal !== undefined) throw new Error(formatProblem(fatal))
}

/** READY must count a sidecar exactly where injection decided for one. */
async function showPods(mesh: MeshHandle, print: (text: string) => void): Promise<string[]> {
  const pods = await mesh.ps()
  print(podTable(pods))
  const decided = await currentMesh(mesh)
  return pods.flatMap((p) => {
    const injected = decided.workloads.find((w) => w.pod === p.name && w.namespace === p.namespace)?.sidecar.value
    const expected = p.namespace !== 'legacy' && !p.name.startsWith('opted-out') ? '2/2' : '1/1'
    return readyText(p) === expected && injected === (expected === '2/2') ? [] : [`pod ${p.namespace}/${p.name} is ${readyText(p)}, ${expected} was decided`]
  })
}

function yamlSummary(): string {
  const kinds = new Map<string, number>()
  for (const [, kind] of text(meshFile).matchAll(/^kind: (\w+)/gm)) kinds.set(kind as string, (kinds.get(kind as string) ?? 0) + 1)
  return `${paint('cyan', `  kith up ${meshFile}`)}${paint('dim', `  (${[...kinds].map(([k, n]) => `${n} ${k}${n > 1 ? 's' : ''}`).join(', ')})`)}\n`
}

function text(file: string): string {
  return readFileSync(join(walkthroughDir, file), 'utf8')
}

function hasCurl(): boolean {
  return spawnSync('curl', ['--version'], { stdio: 'ignore' }).status === 0
}
