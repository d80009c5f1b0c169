// Runs targets for so long, from one seed, and counts.
import fc from 'fast-check'
import { frames } from './frames.ts'
import { heads } from './heads.ts'
import { hellos } from './hellos.ts'
import { paths } from './paths.ts'
import type { Target } from './target.ts'
import { yaml } from './yaml.ts'

export const targets: readonly Target[] = [heads, frames, hellos, paths, yaml]

export interface Outcome {
  readonly target: string
  readonly inputs: number
  /** What was found, with the seed and the smallest input; undefined: nothing. */
  readonly failure?: string
}

export async function fuzz(target: Target, seed: number, durationMs: number): Promise<Outcome> {
  const { property, close } = await target.open()
  try {
    const options = { seed, numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: durationMs, markInterruptAsFailure: false, includeErrorInReport: true }
    const result = await fc.check(property as fc.IAsyncProperty<unknown>, options)
    const failure = result.failed ? fc.defaultReportMessage(result) : undefined
    return { target: target.name, inputs: result.numRuns, ...(failure === undefined ? {} : { failure }) }
  } finally {
    await close()
  }
}
