// All that is made ahead of the commands that answer and end: the snapshot, and the bundle for whoever can't take it.
// Law: nothing depends on it. A failure costs time later, nothing else.
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { bundleCommands } from './bundle-commands.ts'
import { outdir } from './commands-as-written.ts'
import { snapshotCommands } from './snapshot-commands.ts'

const keptMs = 3_600_000

export async function makeCommands(node: string): Promise<void> {
  try {
    const bundle = await bundleCommands()
    const snapshots = await snapshotCommands(node)
    if (bundle === undefined) return
    // What was there before may be in use yet.
    const belongs = new Set([...bundle, ...snapshots])
    for (const name of readdirSync(outdir)) if (!belongs.has(name) && statSync(join(outdir, name)).mtimeMs < Date.now() - keptMs) rmSync(join(outdir, name))
  } catch (error) {
    process.stderr.write(`the commands run from their sources, a little slower: ${String(error)}\n`)
  }
}
