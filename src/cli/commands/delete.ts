// kith delete -f FILE: takes objects that were applied out of the running mesh.
import { Command } from 'commander'
import { changeMesh, type ChangeOptions } from '../change-mesh.ts'

export function build(): Command {
  return new Command('delete')
    .summary('takes objects out of the mesh on this machine')
    .description('As kubectl delete -f. What stands in the mesh’s own folder is removed there: kith up watches it.')
    .requiredOption('-f, --filename <path>', 'file, folder or - (standard input); repeatable', (path: string, all: readonly string[] = []) => [...all, path])
    .option('--dir <folder>', 'the mesh of this folder, where several run')
    .addHelpText('after', '\nExample:\n  kith delete -f examples/walkthrough/peer-authentication.yaml')
    .action((options: ChangeOptions) => changeMesh('delete', options))
}
