// The same steps in a mesh of this machine (`kith up`): what the cluster's tables must equal.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startMesh } from '#local'
import { clientArguments, measure } from '../../src/cli/demo/measure.ts'
import type { DemoStep } from '../../src/cli/demo/steps.ts'
import { makeFolder } from '../../src/cli/demo/folder.ts'
import { row, walkthrough } from './calls.ts'

/** One list of rows a step. */
export async function localTables(steps: readonly DemoStep[]): Promise<string[][]> {
  const folder = makeFolder()
  const mesh = await startMesh({ dir: folder.dir })
  try {
    await mesh.waitReady()
    const tables: string[][] = []
    for (const step of steps) {
      const text = (file: string): [string, string] => [readFileSync(join(walkthrough, file), 'utf8'), file]
      for (const file of step.remove) await mesh.delete(...text(file))
      for (const file of step.apply) await mesh.apply(...text(file))
      if (step.pods === true) await mesh.waitReady()
      const rows: string[] = []
      for (const c of step.calls) rows.push(row(c, measure(await mesh.exec(c.from, clientArguments(true, c.to, '', ''), { timeoutMs: 15_000 }))))
      tables.push(rows)
    }
    return tables
  } finally {
    await mesh.down()
    folder.remove()
  }
}
