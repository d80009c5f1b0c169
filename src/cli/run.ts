// The command line: finds the command, loads only its file, and turns what went wrong into a sentence and an exit code.
import { Command, CommanderError } from 'commander'
import { commands } from './commands.ts'
import { reportFailure } from './failure.ts'

/** istioctl keeps some commands below `experimental`, or `x`: here they stand beside the others, and answer to both. */
function withoutExperimental(given: readonly string[]): readonly string[] {
  return given[0] === 'x' || given[0] === 'experimental' ? given.slice(1) : given
}

async function answer(given: readonly string[]): Promise<void> {
  const argv = withoutExperimental(given)
  const program = new Command('kith')
    .description('A service mesh that speaks Istio’s API, proves both ends of every connection, and says why.')
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ showGlobalOptions: false })
  const asked = argv.find((a) => !a.startsWith('-'))
  for (const { name, summary, load, hidden } of commands) {
    if (name === asked) {
      const command = (await load()).build()
      program.addCommand(command.exitOverride().showHelpAfterError('(kith ' + name + ' --help shows what it takes)'))
    } else {
      program.addCommand(new Command(name).summary(summary).description(summary), { hidden: hidden ?? false })
    }
  }
  await program.parseAsync(argv, { from: 'user' })
}

/** Sets the exit code; what the command started runs on. */
export async function run(argv: readonly string[]): Promise<void> {
  // Whoever read has gone (`kith … | head`): what runs is taken down, the rest ends as by SIGPIPE.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') {
      process.stderr.write(`kith: what was found can’t be written: ${error.message}\n`)
      process.exit(1)
    }
    if (process.listenerCount('SIGTERM') === 0) process.exit(141)
    process.kill(process.pid, 'SIGTERM')
  })
  try {
    await answer(argv)
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else process.exitCode = reportFailure(error)
  }
}
