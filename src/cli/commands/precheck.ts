// kith precheck: whether this cluster takes an installation: its version, what you may do there, and what of another mesh stands in the way. Changes nothing. Exit code 1 where something is wrong.
import { Command } from 'commander'
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
    .description('Says whether this cluster takes an installation or an upgrade. Changes nothing.')
    .option('-o, --output <format>', 'log or json', 'log')
    .addHelpText('after', `
Examples:
  kith precheck
  kith x precheck --revision canary`)
    .action(async (options: Options) => {
      const plan = planInstall(readValues(options))
      const problems = await withCluster(options, (client) => precheck(client, plan))
      const level = (severity: string): string => (severity === 'error' ? 'Error' : severity === 'warning' ? 'Warning' : 'Info')
      if (options.output === 'json') process.stdout.write(JSON.stringify(problems.map((p) => ({ code: p.code, level: level(p.severity), message: p.message, ...(p.help === undefined ? {} : { help: p.help }) })), null, 2) + '\n')
      else if (problems.length === 0) process.stdout.write('✔ No issues found when checking the cluster. Istio is safe to install or upgrade!\n  To get started: kith install\n')
      else process.stdout.write(problems.map((p) => `${level(p.severity)} [${p.code}] ${p.message}${p.help === undefined ? '' : `; ${p.help}`}\n`).join(''))
      if (problems.some((p) => p.severity !== 'info')) throw new ExitError(1, options.output === 'json' ? '' : '\nError: Issues found when checking the cluster. Istio may not be safe to install or upgrade.')
    })
}
