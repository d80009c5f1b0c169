// kith apply -f FILE: objects into the running mesh, as kubectl apply. Returns when every sidecar has what follows from them.
import { Command } from 'commander'
import { changeMesh, type ChangeOptions } from '../change-mesh.ts'

export function build(): Command {
  return new Command('apply')
    .summary('brings objects into the mesh on this machine')
    .description('As kubectl apply -f. With a fault in a file nothing of it is applied; file, line and field are named.')
    .requiredOption('-f, --filename <path>', 'file, folder or - (standard input); repeatable', (path: string, all: readonly string[] = []) => [...all, path])
    .option('--dir <folder>', 'the mesh of this folder, where several run')
    .addHelpText('after', '\nExamples:\n  kith apply -f examples/walkthrough/peer-authentication.yaml\n  kith apply -f - < examples/walkthrough/disable-bar.yaml')
    .action((options: ChangeOptions) => changeMesh('apply', options))
}
