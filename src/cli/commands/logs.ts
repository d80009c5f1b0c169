// kith logs POD: what a container said, as kubectl logs.
import { Command } from 'commander'
import { attachFound, channels, openSession, statePaths, type Reply } from '#local'
import { ExitError } from '../failure.ts'

interface Options {
  readonly namespace?: string
  readonly container?: string
  readonly follow?: true
  readonly tail?: string
  readonly dir?: string
}

export function build(): Command {
  return new Command('logs')
    .summary('what a container of a pod said')
    .description('Prints a container’s output. The sidecar’s is its access log (stdout) and its own log (stderr).')
    .argument('<pod>', '[kind/]name[.namespace]')
    .argument('[container]', 'container, as -c')
    .option('-n, --namespace <name>', 'namespace of the pod')
    .option('-c, --container <name>', 'container; istio-proxy is the sidecar')
    .option('-f, --follow', 'go on with what comes')
    .option('--tail <lines>', 'only the last so many lines')
    .option('--dir <folder>', 'the mesh of this folder, where several run')
    .addHelpText('after', '\nExamples:\n  kith logs -n foo deploy/httpbin -c istio-proxy --tail 5\n  kith logs -f sleep.foo')
    .action(run)
}

async function run(pod: string, second: string | undefined, options: Options): Promise<void> {
  const mesh = await attachFound(options.dir)
  const container = options.container ?? second
  const tail = options.tail === undefined ? undefined : Number(options.tail)
  if (tail !== undefined && !Number.isInteger(tail)) throw new ExitError(2, 'kith: --tail takes a number of lines')
  const session = await openSession(statePaths(mesh.stateDir).socket, {
    op: 'logs', pod: options.namespace === undefined ? pod : `${pod}.${options.namespace}`, follow: options.follow === true,
    options: { ...(container === undefined ? {} : { container }), ...(tail === undefined || tail < 0 ? {} : { tail }) },
  })
  let reply: Reply | undefined
  session.onReply((r) => (reply = r))
  session.onBytes((channel, bytes) => void (channel === channels.stdout ? process.stdout : process.stderr).write(bytes))
  process.stdout.on('error', () => session.socket.destroy())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => session.socket.destroy())
  await session.closed
  if (reply !== undefined && 'failure' in reply) throw new ExitError(1, `kith: ${reply.failure.message} [${reply.failure.code}]`)
}
