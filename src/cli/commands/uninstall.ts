// kith uninstall --purge | --revision NAME: takes the control plane out of a cluster, and with --purge every trace of it. Nothing goes before it was said and agreed to.
import { Command } from 'commander'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { confirm } from '../ask.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { nameOf } from '../install/apply.ts'
import { emptyOwnNamespace, planRemoval, remove, waitForGone, type Removal } from '../install/remove.ts'
import { Progress } from '../progress.ts'

interface Options extends ClusterOptions {
  readonly purge?: true
  readonly revision?: string
  readonly skipConfirmation?: true
  readonly dryRun?: true
  readonly keepCrds?: true
  readonly deleteCrds?: true
  readonly istioNamespace: string
}

export function build(): Command {
  return clusterOptions(new Command('uninstall'))
    .description('Takes the control plane out of the cluster: one revision, or (--purge) all of it with the CA’s key, trust bundles and resource definitions.')
    .option('--purge', 'everything')
    .option('-r, --revision <name>', 'only this revision')
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    .option('--keep-crds', 'with --purge: leave the resource definitions')
    .option('--delete-crds', 'with --purge: delete the resource definitions even where objects of users exist, and those with them')
    .option('--dry-run', 'only say what would go')
    .option('-y, --skip-confirmation', 'answer yes')
    .addHelpText('after', `
Examples:
  kith uninstall --purge
  kith uninstall --revision canary -y`)
    .action(async (options: Options) => {
      if ((options.purge === true) === (options.revision !== undefined)) throw new ExitError(2, 'kith uninstall: name what shall go: --revision NAME for one control plane, or --purge for all')
      await withCluster(options, async (client) => {
        const definitions = options.deleteCrds === true ? 'delete' : options.keepCrds === true ? 'keep' : 'where-unused'
        const removal = await planRemoval(client, { namespace: options.istioNamespace, definitions, ...(options.revision === undefined ? {} : { revision: options.revision }) })
        if (removal.objects.length === 0) {
          process.stdout.write(options.revision === undefined ? 'Nothing to remove: no installation in this cluster.\n' : `Nothing to remove: no revision ${options.revision} in namespace ${options.istioNamespace}.\n`)
          return
        }
        process.stdout.write(announcement(removal, options))
        if (options.dryRun === true) return
        if (!(await confirm('Proceed?', options.skipConfirmation === true))) throw new ExitError(1, 'Cancelled: nothing was changed.')
        const progress = new Progress()
        // The control plane makes trust bundles again while it lives: it goes first, and is waited for.
        const later = removal.objects.filter((o) => isTrace(o) || o.kind === 'CustomResourceDefinition')
        const first = removal.objects.filter((o) => !later.includes(o))
        await remove(client, first, (o) => progress.done(`removed ${nameOf(o)}`))
        if (later.length > 0) {
          progress.doing('waiting for the control plane to end')
          const pods = (await client.list({ apiVersion: 'v1', kind: 'Pod', namespace: options.istioNamespace, labelSelector: 'app=istiod' })).items
          await waitForGone(client, pods, 60_000)
          const { objects } = await planRemoval(client, { namespace: options.istioNamespace, definitions })
          await remove(client, objects, () => undefined)
          progress.done(`removed ${summary(objects)}`)
          await waitForGone(client, objects.filter((o) => o.kind === 'CustomResourceDefinition'), 60_000)
          const namespace = await emptyOwnNamespace(client, options.istioNamespace)
          if (namespace !== undefined) {
            progress.doing(`waiting for namespace ${options.istioNamespace} to end`)
            await remove(client, [namespace], () => undefined)
            await waitForGone(client, [namespace], 120_000)
            progress.done(`removed ${nameOf(namespace)}`)
          }
        }
        progress.done('Uninstall complete')
      })
    })
}

const isTrace = (o: KubernetesObject): boolean => o.kind === 'Lease' || o.kind === 'Secret' || o.metadata.name === 'istio-ca-root-cert'

function announcement({ objects, users, kept, meshed }: Removal, { revision, deleteCrds, keepCrds }: Options): string {
  const lines = [`This removes ${revision === undefined ? 'all of the mesh' : `revision ${revision}`}:`, ...objects.filter((o) => o.metadata.name !== 'istio-ca-root-cert' && o.kind !== 'CustomResourceDefinition').map((o) => `  ${nameOf(o)}${o.kind === 'Secret' ? ': the key of the mesh’s CA. A later installation has another root.' : ''}`)]
  const bundles = objects.filter((o) => o.metadata.name === 'istio-ca-root-cert').length
  if (bundles > 0) lines.push(`  ConfigMap istio-ca-root-cert in ${bundles} namespaces`)
  const crds = objects.filter((o) => o.kind === 'CustomResourceDefinition').length
  if (crds > 0) lines.push(`  ${crds} CustomResourceDefinitions`)
  if (users.length > 0 && deleteCrds === true) lines.push(`and, with their definitions, ${users.length} objects that users wrote: ${some(users)}`)
  if (kept.length > 0) lines.push(keepCrds === true ? `Kept: ${kept.length} CustomResourceDefinitions.` : `Kept: ${kept.length} CustomResourceDefinitions of which there are objects; --delete-crds takes both.`)
  if (meshed.length > 0) lines.push(`Warning: ${meshed.length} running ${meshed.length === 1 ? 'pod has' : 'pods have'} its sidecar and no new certificate within a day: ${some(meshed)}. Take the injection labels off the namespaces and restart what runs there.`)
  return lines.join('\n') + '\n'
}

function some(objects: readonly KubernetesObject[]): string {
  return objects.slice(0, 5).map((o) => `${o.kind === 'Pod' ? '' : `${o.kind} `}${o.metadata.namespace ?? ''}/${o.metadata.name ?? ''}`).join(', ') + (objects.length > 5 ? ` and ${objects.length - 5} more` : '')
}

function summary(objects: readonly KubernetesObject[]): string {
  const counts = new Map<string, number>()
  for (const { kind } of objects) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return [...counts].map(([kind, n]) => `${n} ${kind}${n === 1 ? '' : 's'}`).join(', ')
}
