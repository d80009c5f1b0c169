// The walkthrough in a folder of this run, so that two demos at once don't meet. Its name says whose it is: the next run sweeps up behind one that was killed.
import { chmodSync, cpSync, lstatSync, mkdtempSync, readdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { foundMeshes, startOf, stopMesh } from '#local'
import { meshFile } from './steps.ts'

export const walkthroughDir = fileURLToPath(new URL('../../../examples/walkthrough', import.meta.url))
/** As a package it has JavaScript (scripts/package.ts). */
export const ending = import.meta.url.endsWith('.ts') ? '.ts' : '.js'

/** Its programs are links: they find the package's modules. */
export function makeFolder(): { readonly dir: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), `kith-demo-${process.pid}.${startOf(process.pid)}-`))
  for (const file of ['kith.yaml', meshFile]) cpSync(join(walkthroughDir, file), join(dir, file))
  for (const program of [`httpbin${ending}`, `external${ending}`]) symlinkSync(join(walkthroughDir, program), join(dir, program))
  chmodSync(dir, 0o755)
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) }
}

/** Folders, and what is left of their meshes, whose process has gone without a word (SIGKILL). */
export async function sweepFolders(): Promise<void> {
  const left = readdirSync(tmpdir()).filter((name) => {
    const [, pid, start] = /^kith-demo-(\d+)\.(\w+)-/.exec(name) ?? []
    return pid !== undefined && startOf(Number(pid)) !== start && isOurs(join(tmpdir(), name))
  })
  for (const dir of left.map((name) => join(tmpdir(), name))) {
    const real = realpathSync(dir)
    for (const mesh of foundMeshes().filter((m) => m.record?.dir === real)) await stopMesh(mesh)
    rmSync(dir, { recursive: true, force: true })
  }
}

function isOurs(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return found?.isDirectory() === true && (process.getuid === undefined || found.uid === process.getuid())
}
