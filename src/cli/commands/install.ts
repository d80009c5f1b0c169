// kith install: brings the control plane into the cluster of the kubeconfig, or an installation up to date. istioctl's flags; exit code 0 only where all of it is ready.
import { Command } from 'commander'
import { parseDuration } from '#api'
import { version } from '#lib/version.ts'
import { confirm } from '../ask.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { planInstall } from '../install/plan-install.ts'
import { knownToServer } from '../install/server-age.ts'
import { foreignControlPlane, refuseForeign, runStages } from '../install/stages.ts'
import { Progress } from '../progress.ts'
import { readValues, valuesOptions, type ValuesOptions } from '../values-options.ts'

interface Options extends ValuesOptions, ClusterOptions {
  readonly skipConfirmation?: true
  readonly dryRun?: true
  readonly force?: true
  readonly wait: boolean
  readonly readinessTimeout: string
}

export function build(): Command {
  return clusterOptions(valuesOptions(new Command('install')))
    .description('Installs the control plane into the cluster of the kubeconfig, or brings an installation up to date. Waits until it is ready.')
    .option('-y, --skip-confirmation', 'answer yes')
    .option('--dry-run', 'let the API server check everything, and change nothing')
    .option('--force', 'take over fields that somebody else has set')
    .option('--no-wait', 'do not wait until the control plane is ready')
    .option('--timeout, --readiness-timeout <duration>', 'how long to wait', '5m0s')
    .addHelpText('after', `
Examples:
  kith install -y
  kith install --set hub=registry.example.com/mesh --set tag=1.2.0 --set meshConfig.accessLogFile=/dev/stdout
  kith install -f values.yaml --revision canary
  kith install --dry-run`)
    .action(async (options: Options) => {
      const planned = planInstall(readValues(options))
      const timeoutMs = parseDuration(options.readinessTimeout)
      if (timeoutMs === undefined || timeoutMs <= 0) throw new ExitError(2, `kith install: --readiness-timeout takes a duration such as 5m, not ${options.readinessTimeout}`)
      await withCluster(options, async (client) => {
        const plan = { ...planned, objects: await knownToServer(client, planned.objects) }
        const foreign = await foreignControlPlane(client, plan)
        if (foreign !== undefined && options.force !== true) refuseForeign(foreign)
        const what = `Kith ${version}, revision ${plan.revision}, into namespace ${plan.namespace} of ${client.server}`
        if (options.dryRun !== true && !(await confirm(`This installs ${what}. Proceed?`, options.skipConfirmation === true))) throw new ExitError(1, 'Cancelled: nothing was changed.')
        const startedMs = Date.now()
        const progress = new Progress()
        try {
          const total = await runStages(client, plan, { dryRun: options.dryRun === true, force: options.force === true, wait: options.wait, timeoutMs }, progress)
          const took = `${((Date.now() - startedMs) / 1000).toFixed(1)} s`
          if (options.dryRun === true) process.stdout.write(`Dry run: nothing was changed. ${total.created} objects would be created, ${total.changed} changed, ${total.removed} removed.\n`)
          else if (total.created + total.changed + total.removed === 0) progress.done(`Nothing to change: ${what} (${took})`)
          else {
            progress.done(`Installation complete: ${what} (${took})`)
            if (total.created > 0) process.stdout.write(next(plan.revision))
          }
        } catch (error) {
          progress.failed(`Installation failed: what was applied so far stays; the same command goes on from there, kith uninstall takes it back`)
          throw error
        }
      })
    })
}

/** istioctl has a second name for it. */
export const buildUpgrade = (): Command => build().name('upgrade')

const next = (revision: string): string => `
Next: name the namespaces whose pods shall be in the mesh, and restart what runs there already:
  kubectl label namespace default ${revision === 'default' ? 'istio-injection=enabled' : `istio.io/rev=${revision}`}
  kubectl rollout restart deployment -n default
`
