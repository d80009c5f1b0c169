// kith demo: the walkthrough of a mesh's first hour, on this machine, for real.
import { Command, Option } from 'commander'
import { KithError } from '#lib/errors.ts'
import { startMesh, type LocalMode, type MeshEvent, type MeshHandle } from '#local'
import { makeFolder, sweepFolders, walkthroughDir } from '../demo/folder.ts'
import { walk } from '../demo/walkthrough.ts'
import { paint } from '../demo/screen.ts'
import { ExitError } from '../failure.ts'
import { formatProblem } from '../problems.ts'
import { Progress } from '../progress.ts'

interface Options {
  readonly yes?: boolean
  readonly mode: LocalMode | 'auto'
}

export function build(): Command {
  return new Command('demo')
    .summary('the first hour of a mesh, on this machine: measured beside explained')
    .description('Runs the walkthrough: three namespaces, STRICT, an exception, a call that breaks and why, routing, a service outside the mesh. Every table is measured.')
    .option('-y, --yes', 'never wait for a key; take the mesh down at the end')
    .addOption(new Option('--mode <mode>', 'namespaced, explicit, or what the machine allows').choices(['auto', 'namespaced', 'explicit']).default('auto'))
    .addHelpText('after', `
Examples:
  npm start                  with a terminal: step by step, and a mesh to play with at the end
  npm start -- --yes         all steps, then everything is taken down
Exit codes: 0 every call did what kith explain had said, 3 one did not, 1 the world failed.`)
    .action(run)
}

async function run(options: Options): Promise<void> {
  // The process's own start, so that the figure is what a user waits.
  const startedMs = 0
  const interactive = options.yes !== true && process.stdin.isTTY === true && process.stdout.isTTY === true
  const required = (process.env['REQUIRE'] ?? '').split(',').includes('namespaces')
  let mesh: MeshHandle | undefined
  await sweepFolders()
  const folder = makeFolder()
  const interrupted = new Promise<never>((_resolve, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => reject(new ExitError(signal === 'SIGINT' ? 130 : 143)))
  })
  interrupted.catch(() => undefined)
  try {
    process.stdout.write(`${paint('bold', 'Kith, the first hour of a mesh')}\nReal processes, certificates and interception. Each call is explained first, then made, then read off the server’s side.\n`)
    const progress = new Progress()
    const starting = startMesh({ dir: folder.dir, mode: options.mode, onEvent: tell(progress) })
    mesh = await Promise.race([starting, interrupted.catch(async (error: unknown) => { await (await starting).down(); throw error })])
    if (required && mesh.mode !== 'namespaced') throw new KithError('NAMESPACES_REQUIRED', `REQUIRE=namespaces, but this machine allows only explicit mode: ${mesh.modeReason ?? ''}`)
    process.stdout.write(paint('dim', `mode: ${mesh.mode}${mesh.modeReason === undefined ? '' : `, because ${mesh.modeReason}`}\n`))
    await Promise.race([mesh.waitReady(), interrupted])
    progress.done('the control plane serves, all pods are ready')
    const wrong = await Promise.race([walk(mesh, { yes: !interactive, print: (t) => void process.stdout.write(t), startedMs }), interrupted])
    if (wrong.length > 0) throw new ExitError(3, `\n${wrong.length} of the calls did not do what kith explain had said:\n${wrong.map((w) => `  ${w}`).join('\n')}`)
    process.stdout.write(paint('green', `\nEvery call did what kith explain had said. ${(performance.now() / 1000).toFixed(1)} s.\n`))
    if (interactive) await stay(mesh, interrupted)
  } finally {
    await mesh?.down()
    folder.remove()
  }
}

async function stay(mesh: MeshHandle, interrupted: Promise<never>): Promise<void> {
  process.stdout.write(`\nThe mesh goes on; Ctrl-C takes it down and leaves nothing. In another terminal:\n  ${paint('cyan', `export KITH_DIR=${mesh.dir}`)}\n  kith ps -A\n  kith exec -n foo deploy/sleep -- curl -s http://httpbin.bar:8000/headers\n  kith apply -f ${walkthroughDir}/disable-bar.yaml\n`)
  await Promise.race([mesh.ended, interrupted]).catch((error: unknown) => {
    // Ctrl-C is how one leaves here.
    if (!(error instanceof ExitError) || error.exitCode !== 130) throw error
    process.stdout.write('\n')
  })
}

/** Trouble at once; while the mesh comes up, how far it is. */
function tell(progress: Progress): (event: MeshEvent) => void {
  const pods = new Map<string, boolean>()
  let up = false
  return (event) => {
    showTrouble(event)
    up ||= event.event === 'ready'
    if (event.event !== 'pod' || up) return
    pods.set(`${event.pod.namespace}/${event.pod.name}`, event.pod.ready)
    progress.at(`${[...pods.values()].filter((r) => r).length} of ${pods.size} pods are ready`)
  }
}

function showTrouble(event: MeshEvent): void {
  if (event.event === 'problem') process.stderr.write(`${formatProblem(event.problem)}\n`)
  if (event.event === 'control-plane' && event.status === 'failed') process.stderr.write(`control plane: ${event.detail ?? 'failed'}\n`)
}
