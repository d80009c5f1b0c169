// The command line: finds the command, loads only its file, and turns what went wrong into a sentence and an exit code.
import { Command, CommanderError, Help } from 'commander'
import { commands } from './commands.ts'
import { reportFailure } from './failure.ts'
import { optionTerm, valuesBehindEquals } from './optional-values.ts'

/** istioctl keeps some commands below `experimental` (`exp`, `x`). Here they stand beside the others, and the prefix is accepted. `help X` is X's own help; `--version` is `version`. */
function asMeant(given: readonly string[]): readonly string[] {
  const [first, ...rest] = given
  if (first === 'x' || first === 'exp' || first === 'experimental') return asMeant(rest)
  if (first === 'help' && rest.length > 0) return [...rest, '--help']
  return first === '--version' ? ['version', ...rest] : given
}

/** What holds for a command holds for those below it: a fault is thrown, ends with its code and names the help. */
function prepare(command: Command, name: string): Command {
  for (const child of command.commands) prepare(child, `${name} ${child.name()}`)
  // A list that begins empty has no default worth a word.
  command.configureHelp({ optionTerm, optionDescription: (option) => new Help().optionDescription(option).replace(/ \(default: \[\]\)$/, '') })
  valuesBehindEquals(command)
  return command.exitOverride().showHelpAfterError(`(kith ${name} --help shows what it takes)`)
}

/** What reads these arguments: the command that they name, whole; of the others only the name. */
export async function parserOf(given: readonly string[]): Promise<{ readonly program: Command; readonly argv: readonly string[] }> {
  const argv = asMeant(given)
  const program = new Command('kith')
    .description('A service mesh that speaks Istio’s API, proves both ends of every connection, and says why.')
    .enablePositionalOptions()
    .exitOverride()
    .showSuggestionAfterError()
    .showHelpAfterError('(kith --help shows the commands)')
    .configureHelp({ showGlobalOptions: false })
  const asked = argv.find((a) => !a.startsWith('-'))
  for (const { name, aliases = [], summary, load, hidden } of commands) {
    if (asked !== undefined && [name, ...aliases].includes(asked)) {
      program.addCommand(prepare((await load()).build().aliases(aliases), name))
    } else {
      program.addCommand(new Command(name).aliases(aliases).summary(summary).description(summary), { hidden: hidden ?? false })
    }
  }
  return { program, argv }
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
    const parser = await parserOf(argv)
    await parser.program.parseAsync(parser.argv, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else process.exitCode = reportFailure(error)
  }
}
