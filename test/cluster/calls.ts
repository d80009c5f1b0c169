// Calls in the cluster, measured as the demo measures them, beside what explain says of the same YAML.
import { join } from 'node:path'
import { buildMesh } from '#mesh'
import { decodeObjects, readFiles } from '#sources'
import { compareCall, expectCall } from '../../src/cli/demo/expected.ts'
import { clientArguments, measure, type Measured } from '../../src/cli/demo/measure.ts'
import type { DemoCall } from '../../src/cli/demo/steps.ts'
import { tryKubectl, until } from './cluster.ts'

export const walkthrough = join(import.meta.dirname, '../../examples/walkthrough')

/** `sleep.foo`, `pod/opted-out-by-label.foo` */
export function call({ from, to }: DemoCall): Measured {
  const [pod = '', namespace = ''] = [from.slice(0, from.lastIndexOf('.')), from.slice(from.lastIndexOf('.') + 1)]
  return measure(tryKubectl(['exec', '-n', namespace, pod.includes('/') ? pod : `deploy/${pod}`, '-c', 'sleep', '--', ...clientArguments(true, to, '', '')], { timeoutMs: 30_000 }))
}

/** What tells two tables apart: the outcome, and who proved to be whom. */
export const row = (c: DemoCall, m: Measured): string => `${c.from} → ${c.to}: ${m.outcome}${m.client === null ? '' : ` ${m.client} → ${m.server}`}`

/**
 * Measures until each call does what explain says of `files`, then once more: it must stay so. A change of policy takes a moment to reach
 * every proxy; what is still another after `timeoutMs` is a fault.
 */
export async function table(calls: readonly DemoCall[], files: readonly string[], timeoutMs = 30_000): Promise<string[]> {
  const mesh = buildMesh(decodeObjects(readFiles(files.map((f) => join(walkthrough, f))).documents).objects)
  const expected = calls.map((c) => expectCall(mesh, c))
  let measured: Measured[] = []
  const differences = (): string[] => {
    measured = calls.map(call)
    return calls.flatMap((c, i) => compareCall(c, expected[i] as (typeof expected)[number], measured[i] as Measured).differences.map((d) => `${c.from} → ${c.to}: ${d} (${measured[i]?.proof})`))
  }
  const fault = (): string | undefined => differences().join('; ') || undefined
  await until('calls', fault, timeoutMs)
  const later = fault()
  if (later !== undefined) throw new Error(`calls that had done what was explained do otherwise now: ${later}`)
  return calls.map((c, i) => row(c, measured[i] as Measured))
}
