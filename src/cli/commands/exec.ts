// kith exec POD -- COMMAND…: a program inside a pod, as kubectl exec runs it: its output, its exit code, our signals and standard input.
import { Command } from 'commander'
import { attachFound, channels, formatReference, openSession, statePaths, type Reply } from '#local'
import { ExitError } from '../failure.ts'

interface Options {
  readonly namespace?: string
  readonly container?: string
  readonly stdin?: true
  readonly tty?: true
  readonly dir?: string
}

export function build(): Command {
  return new Command('exec')
    .summary('runs a program inside a pod')
    .description('Runs COMMAND in a container of a pod, with the pod’s network, names and rights, and ends with its exit code.')
    .argument('<pod>', '[kind/]name[.namespace]: sleep.foo, deploy/sleep, pod/sleep-7d4-x')
    .argument('<command...>', 'after --')
    .option('-n, --namespace <name>', 'namespace of the pod')
    .option('-c, --container <name>', 'container; default: the first of the application; istio-proxy is the sidecar')
    .option('-i, --stdin', 'pass standard input on')
    .option('-t, --tty', 'taken for kubectl’s sake: no terminal is made')
    .option('--dir <folder>', 'the mesh of this folder, where several run')
    .addHelpText('after', `
Examples:
  kith exec -n foo deploy/sleep -- curl -s http://httpbin.bar:8000/headers
  echo hello | kith exec -i sleep.foo -- cat`)
    .action(run)
}

async function run(pod: string, command: readonly string[], options: Options): Promise<void> {
  const mesh = await attachFound(options.dir)
  const reference = formatReference(options.namespace === undefined ? pod : withNamespace(pod, options.namespace))
  const argv = command[0] === '--' ? command.slice(1) : command
  const session = await openSession(statePaths(mesh.stateDir).socket, { op: 'exec', pod: reference, argv, stdin: options.stdin === true, ...(options.container === undefined ? {} : { container: options.container }) })
  let reply: Reply | undefined
  session.onReply((r) => (reply = r))
  session.onBytes((channel, bytes) => {
    const to = channel === channels.stdout ? process.stdout : process.stderr
    if (to.write(bytes)) return
    session.socket.pause()
    to.once('drain', () => session.socket.resume())
  })
  // A reader that has seen enough (`| head`) ends the program, as a pipe would.
  let unread = false
  process.stdout.on('error', () => {
    unread = true
    session.socket.destroy()
  })
  if (options.stdin === true) {
    process.stdin.on('data', (chunk: Buffer) => {
      if (session.write(chunk)) return
      process.stdin.pause()
      session.socket.once('drain', () => process.stdin.resume())
    })
    process.stdin.on('end', () => session.note({ eof: true }))
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => session.note({ signal }))
  await session.closed
  process.stdin.destroy()
  if (unread) throw new ExitError(141)
  if (reply === undefined) throw new ExitError(1, 'kith: the mesh ended while the command ran')
  if ('failure' in reply) throw new ExitError(1, `kith: ${reply.failure.message} [${reply.failure.code}]`)
  if ('exit' in reply && reply.exit !== 0) throw new ExitError(reply.exit, reply.error)
}

function withNamespace(pod: string, namespace: string): { kind?: string; name: string; namespace: string } {
  const [first, second] = pod.split('/', 2) as [string, string | undefined]
  return second === undefined ? { name: first, namespace } : { kind: first, name: second, namespace }
}
