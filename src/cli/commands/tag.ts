// kith tag set|generate|list|remove: names by which namespaces choose a control plane (istio.io/rev=TAG), so that an upgrade moves all of them by one command.
import { Command } from 'commander'
import { isRecord } from '#api'
import { resolveValues, settingsOf, tagObjects } from '#deploy'
import { KithError } from '#lib/errors.ts'
import { objectKey } from '#lib/kubernetes/object-key.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { confirm } from '../ask.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { fieldManager } from '../install/apply.ts'
import { installedKinds } from '../install/inventory.ts'
import { knownToServer } from '../install/server-age.ts'
import { formatTable } from '../demo/table.ts'
import { manifestText } from './manifest.ts'

interface Options extends ClusterOptions {
  readonly revision?: string
  readonly overwrite?: true
  readonly skipConfirmation?: true
  readonly istioNamespace: string
  readonly output?: string
}

const tagLabel = 'istio.io/tag'
const revisionLabel = 'istio.io/rev'

export function build(): Command {
  const command = (name: string, summary: string): Command => clusterOptions(new Command(name)).description(summary).option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
  const set = command('set', 'Makes a tag, or (--overwrite) leads it to another revision.').argument('<tag>').requiredOption('-r, --revision <name>', 'the control plane that it leads to').option('--overwrite', 'a tag that exists changes its revision').option('-y, --skip-confirmation', 'accepted')
    .action((tag: string, options: Options) => withCluster(options, (client) => setTag(client, checked(tag), options)))
  const generate = command('generate', 'Prints what set would apply.').argument('<tag>').requiredOption('-r, --revision <name>', 'the control plane that it leads to').option('--overwrite', 'although the tag exists').option('-y, --skip-confirmation', 'accepted')
    .action((tag: string, options: Options) => withCluster(options, async (client) => {
      await refuseTaken(client, checked(tag), options)
      process.stdout.write(manifestText(await objectsOf(client, tag, options)))
    }))
  const list = command('list', 'The tags, where they lead, and the namespaces that use them.').alias('show').option('-o, --output <format>', 'table or json', 'table').action((options: Options) => withCluster(options, (client) => listTags(client, options)))
  const remove = command('remove', 'Takes a tag away.').alias('delete').argument('<tag>').option('-y, --skip-confirmation', 'answer yes').action((tag: string, options: Options) => withCluster(options, (client) => removeTag(client, tag, options)))
  return new Command('tag').description('Names by which namespaces choose a control plane: istio.io/rev=TAG.').addCommand(set).addCommand(generate).addCommand(list).addCommand(remove).addHelpText('after', `
Examples:
  kith tag set prod --revision canary --overwrite
  kith tag list
  kith tag remove prod`)
}

function checked(tag: string): string {
  if (!/^[a-z0-9]([-a-z0-9]{0,48}[a-z0-9])?$/.test(tag)) throw new ExitError(2, `kith tag: "${tag}" is no tag: lower-case letters, digits and - only, at most 50`)
  return tag
}

async function tagsOf(client: KubernetesClient): Promise<readonly KubernetesObject[]> {
  return (await client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', labelSelector: tagLabel })).items
}

/** The tag as it is, where it exists and may be changed. */
async function refuseTaken(client: KubernetesClient, tag: string, { overwrite, revision, istioNamespace }: Options): Promise<KubernetesObject | undefined> {
  const services = (await client.list({ apiVersion: 'v1', kind: 'Service', namespace: istioNamespace, labelSelector: 'app=istiod' })).items
  if (!services.some((s) => s.metadata.labels?.[revisionLabel] === revision)) throw new KithError('NO_SUCH_REVISION', `cannot modify tag: no revision ${revision} in namespace ${istioNamespace}; there are ${services.map((s) => s.metadata.labels?.[revisionLabel]).join(', ') || 'none'}`)
  const taken = (await tagsOf(client)).find((t) => t.metadata.labels?.[tagLabel] === tag)
  if (taken !== undefined && overwrite !== true) throw new KithError('TAG_EXISTS', `revision tag ${tag} already exists and leads to ${taken.metadata.labels?.[revisionLabel]}: --overwrite changes it`)
  return taken
}

/** With the certificate that the revision's own webhooks already have: pods are never refused for want of one. */
async function objectsOf(client: KubernetesClient, tag: string, options: Options): Promise<readonly KubernetesObject[]> {
  const revision = options.revision === 'default' ? '' : (options.revision ?? '')
  const settings = settingsOf(resolveValues([{ from: 'tag', value: { revision, global: { istioNamespace: options.istioNamespace } } }]).values)
  const own = (await client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', labelSelector: `${revisionLabel}=${settings.revision},!${tagLabel}` })).items
  const trusted = own.flatMap((o) => (Array.isArray(o['webhooks']) ? o['webhooks'].filter(isRecord) : [])).map((w) => (isRecord(w['clientConfig']) ? w['clientConfig']['caBundle'] : undefined)).find((ca) => typeof ca === 'string' && ca !== '')
  return (await knownToServer(client, tagObjects(settings, tag))).map((object) => (trusted === undefined || !Array.isArray(object['webhooks']) ? object : { ...object, webhooks: object['webhooks'].map((w) => (isRecord(w) ? { ...w, clientConfig: { ...(w['clientConfig'] as object), caBundle: trusted } } : w)) }))
}

async function setTag(client: KubernetesClient, tag: string, options: Options): Promise<void> {
  const before = await refuseTaken(client, tag, options)
  for (const object of await objectsOf(client, tag, options)) await client.apply(object, { fieldManager, force: true })
  process.stdout.write(`Revision tag "${tag}" ${before === undefined ? 'created' : 'updated'}, referencing control plane revision "${options.revision}". To enable injection using this\nrevision tag, use 'kubectl label namespace <NAMESPACE> istio.io/rev=${tag}'\n`)
}

async function namespacesOf(client: KubernetesClient): Promise<ReadonlyMap<string, readonly string[]>> {
  const namespaces = (await client.list({ apiVersion: 'v1', kind: 'Namespace' })).items
  const revisionOf = (labels: Readonly<Record<string, string>> = {}): string => labels[revisionLabel] ?? (labels['istio-injection'] === 'enabled' ? 'default' : '')
  return new Map([...Map.groupBy(namespaces, (n) => revisionOf(n.metadata.labels))].map(([revision, found]) => [revision, found.map((n) => n.metadata.name ?? '')]))
}

async function listTags(client: KubernetesClient, options: Options): Promise<void> {
  const [tags, namespaces] = await Promise.all([tagsOf(client), namespacesOf(client)])
  const rows = tags.map((t) => ({ tag: t.metadata.labels?.[tagLabel] ?? '', revision: t.metadata.labels?.[revisionLabel] ?? '', namespaces: namespaces.get(t.metadata.labels?.[tagLabel] ?? '') ?? [] })).sort((a, b) => (a.tag < b.tag ? -1 : 1))
  if (options.output === 'json') return void process.stdout.write(JSON.stringify(rows, null, 2) + '\n')
  if (rows.length === 0) return void process.stdout.write('No revision tag. kith tag set NAME --revision REVISION makes one.\n')
  process.stdout.write(formatTable(['TAG', 'REVISION', 'NAMESPACES'], rows.map((r) => [{ text: r.tag }, { text: r.revision }, { text: r.namespaces.join(',') }]), '') + '\n')
}

async function removeTag(client: KubernetesClient, tag: string, options: Options): Promise<void> {
  const kinds = installedKinds.filter((k) => k.ofCluster === true)
  const found = (await Promise.all(kinds.map(async ({ apiVersion, kind }) => (await client.list({ apiVersion, kind, labelSelector: `${tagLabel}=${tag}` })).items))).flat()
  if (found.length === 0) throw new KithError('NO_SUCH_TAG', `cannot remove tag "${tag}": cannot find MutatingWebhookConfiguration for it; kith tag list shows what there is`)
  const users = (await namespacesOf(client)).get(tag) ?? []
  if (users.length > 0 && !(await confirm(`Caution: namespaces ${users.join(', ')} still use the tag "${tag}": new pods there get no sidecar. Remove it?`, options.skipConfirmation === true))) throw new ExitError(1, 'Cancelled: nothing was changed.')
  for (const object of found) await client.delete(objectKey(object))
  process.stdout.write(`Revision tag ${tag} removed\n`)
}
