// kith down [DIR]: ends a mesh that runs, or clears up behind one that crashed.
import { Command } from 'commander'
import { findMesh, foundMeshes, stopMesh } from '#local'

export function build(): Command {
  return new Command('down')
    .summary('takes a mesh of this machine down')
    .description('Ends the mesh of DIR (default: the one that runs from here, or the only one), and clears up behind one that crashed.')
    .argument('[dir]', 'the folder that was given to kith up')
    .option('--all', 'all meshes of this user, crashed ones too')
    .addHelpText('after', '\nExamples:\n  kith down examples/walkthrough\n  kith down --all')
    .action(async (dir: string | undefined, options: { all?: true }) => {
      for (const mesh of options.all === true ? foundMeshes() : [findDown(dir)]) {
        const what = await stopMesh(mesh)
        process.stdout.write(`${mesh.record?.dir ?? mesh.stateDir}: ${what === 'stopped' ? 'down' : 'cleared up after a crash'}\n`)
      }
    })
}

/** Without a folder, a single crashed mesh is meant too. */
function findDown(dir: string | undefined): ReturnType<typeof findMesh> {
  const all = foundMeshes()
  return dir === undefined && process.env['KITH_DIR'] === undefined && all.length === 1 && all[0] !== undefined ? all[0] : findMesh(dir)
}
