// kith up DIR [-- COMMAND…]: the mesh of a folder, on this machine, until Ctrl-C or until COMMAND has ended.
import { spawn } from 'node:child_process'
import { Command, InvalidArgumentError, Option } from 'commander'
import { startMesh, type LocalMode, type MeshEvent, type MeshHandle } from '#local'
import { ExitError } from '../failure.ts'
import { LiveView } from '../live-view.ts'

interface Options {
  readonly mode: LocalMode | 'auto'
  readonly proxy?: 'kith' | 'envoy'
  readonly output?: string
  readonly timeout: number
}

export function build(): Command {
  return new Command('up')
    .summary('the mesh of a folder, on this machine')
    .description('Runs the YAML of DIR on this machine, with real sidecars, interception and certificates. Ctrl-C takes it down and leaves nothing.')
    .argument('<dir>', 'folder with the YAML files and kith.yaml, which maps images to local commands')
    .argument('[command...]', 'after --: runs when all is ready; then the mesh goes down and its exit code is ours')
    .addOption(new Option('--mode <mode>', 'namespaced: each pod a network namespace; explicit: all on the loopback; auto: what the machine allows').choices(['auto', 'namespaced', 'explicit']).default('auto'))
    .addOption(new Option('--proxy <proxy>', 'what runs as sidecar').choices(['kith', 'envoy']))
    .option('--timeout <seconds>', 'how long to wait for all pods before COMMAND', seconds, 120)
    .addOption(new Option('-o, --output <format>', 'json: one event a line').choices(['json']))
    .addHelpText('after', `
Examples:
  kith up examples/walkthrough
  kith up . --mode explicit
  kith up examples/walkthrough -- kith exec -n foo deploy/sleep -- curl -s http://httpbin.bar:8000/headers
Exit codes: that of COMMAND; without one 0 after Ctrl-C or kith down, 1 where the mesh can’t start or ends by itself.`)
    .action(run)
}

function seconds(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !(value >= 0) || value === Infinity) throw new InvalidArgumentError('It takes a number of seconds.')
  return value
}

async function run(dir: string, rest: readonly string[], options: Options): Promise<void> {
  const command = rest[0] === '--' ? rest.slice(1) : rest
  const view = new LiveView(command.length > 0 ? (line) => process.stderr.write(line + '\n') : undefined)
  const interrupted = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal))
    // Whoever read our output has gone: the mesh goes too.
    process.stdout.on('error', () => resolve('SIGHUP'))
  })
  let told = false
  const onEvent = (event: MeshEvent): void => {
    told ||= event.event === 'stopping'
    if (options.output === 'json') process.stdout.write(JSON.stringify(event) + '\n')
    else view.show(event)
  }
  const mesh = await startMesh({
    dir, mode: options.mode, ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
    onEvent,
  })
  let why: string | undefined = command.length > 0 ? 'the command has ended' : undefined
  void interrupted.then((signal) => (why = signal === 'SIGINT' ? 'Ctrl-C' : signal))
  try {
    const code = command.length > 0 ? await runCommand(mesh, command, options.timeout * 1000, interrupted) : await Promise.race([interrupted.then(() => 0), mesh.ended.then(() => (told ? 0 : 1))])
    if (code === 1 && command.length === 0) throw (await mesh.lost?.()) ?? new ExitError(1, 'kith: the mesh has ended by itself')
    if (code !== 0) throw new ExitError(code)
  } finally {
    await mesh.down(why)
  }
}

async function runCommand(mesh: MeshHandle, command: readonly string[], timeoutMs: number, interrupted: Promise<NodeJS.Signals>): Promise<number> {
  const stop = interrupted.then((signal) => (signal === 'SIGINT' ? 130 : 143))
  const early = await Promise.race([mesh.waitReady(timeoutMs).then(() => undefined), stop])
  if (early !== undefined) return early
  const [program = '', ...args] = command
  const child = spawn(program, args, { stdio: 'inherit', env: { ...process.env, KITH_DIR: mesh.dir } })
  void interrupted.then((signal) => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new ExitError(127, `kith: ${program} can't be started: ${error.message}`)))
    child.once('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}
