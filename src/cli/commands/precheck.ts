// kith precheck: whether this cluster takes an installation: its version, what you may do there, and what of another mesh stands in the way.
// Changes nothing. Exit code 1 where an installation would fail; warnings and information alone end with 0.
import { Command } from 'commander'
import type { Problem, Severity } from '#lib/problem.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { planInstall } from '../install/plan-install.ts'
import { precheck } from '../install/precheck.ts'
import { readValues, valuesOptions, type ValuesOptions } from '../values-options.ts'

interface Options extends ValuesOptions, ClusterOptions {
  readonly output: string
}

export function build(): Command {
  return clusterOptions(valuesOptions(new Command('precheck')))
    .description('Says whether this cluster takes an installation or an upgrade. Changes nothing. Exit code 1 where it does not.')
    .option('-o, --output <format>', 'log or json', 'log')
    .addHelpText('after', `
Examples:
  kith precheck
  kith x precheck --revision canary
Exit codes: 0 an installation would work (warnings may say what would not), 1 it would fail, 2 wrong usage.`)
    .action(async (options: Options) => {
      const plan = planInstall(readValues(options))
      const problems = await withCluster(options, (client) => precheck(client, plan))
      process.stdout.write(options.output === 'json' ? jsonText(problems) : logText(problems))
      const wrong = problems.filter((p) => p.severity === 'error').length
      if (wrong > 0) throw new ExitError(1, options.output === 'json' ? '' : `Error: Kith can't be installed or upgraded in this cluster as it is: ${counted(wrong, 'error')} above.`)
    })
}

const levels: Readonly<Record<Severity, string>> = { error: 'Error', warning: 'Warning', info: 'Info' }
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`

function jsonText(problems: readonly Problem[]): string {
  return JSON.stringify(problems.map((p) => ({ code: p.code, level: levels[p.severity], message: p.message, ...(p.help === undefined ? {} : { help: p.help }) })), null, 2) + '\n'
}

/** The problems, and the answer where it is yes. */
function logText(problems: readonly Problem[]): string {
  const said = problems.map((p) => `${levels[p.severity]} [${p.code}] ${p.message}${p.help === undefined ? '' : `; ${p.help}`}\n`).join('')
  if (problems.some((p) => p.severity === 'error')) return said
  const warnings = problems.filter((p) => p.severity === 'warning').length
  return `${said}✔ Kith can be installed or upgraded in this cluster${warnings === 0 ? '' : ` (${counted(warnings, 'warning')} above)`}.\n  To get started: kith install\n`
}
