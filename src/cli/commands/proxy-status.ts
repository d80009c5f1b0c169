// kith proxy-status: which sidecars are connected, to which control plane, and whether they took what they were told. istioctl's columns; refusals are said, with the proxy's own reason.
import { Command } from 'commander'
import { isRecord } from '#api'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import { version } from '#lib/version.ts'
import { adminPages } from '../admin-page.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { formatTable } from '../demo/table.ts'
import { ExitError } from '../failure.ts'
import { podImage, tagOf } from '../images.ts'
import { attachLocal, isLocal } from '../local-mesh.ts'

interface Options extends ClusterOptions {
  readonly namespace?: string
  readonly istioNamespace: string
  readonly output: string
  readonly verbosity?: string
  readonly local?: boolean | string
}

interface Proxy {
  readonly proxy: string
  readonly identity: string
  readonly istiod: string
  readonly revision: string
  readonly settled: boolean
  readonly lastError: string
  readonly types: readonly { readonly typeUrl: string; readonly pending: boolean; readonly resources: number }[]
}

/** In istioctl's order. */
const typeNames: Readonly<Record<string, string>> = { Cluster: 'CDS', Listener: 'LDS', ClusterLoadAssignment: 'EDS', RouteConfiguration: 'RDS', Secret: 'SDS' }
const debugPort = 15014

export function build(): Command {
  return clusterOptions(new Command('proxy-status'))
    .description('Which sidecars are connected to which control plane, and whether they took the configuration that they were sent.')
    .argument('[pod]', 'name[.namespace] of one')
    .option('-n, --namespace <name>', 'only of this namespace')
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    .option('-v, --verbosity <level>', 'max: a column for each kind of resource')
    .option('-o, --output <format>', 'table or json', 'table')
    .option('--local [folder]', 'the mesh that runs on this machine')
    .addHelpText('after', `
Examples:
  kith proxy-status
  kith proxy-status --local
  kith proxy-status httpbin-6c4f9.foo -v max`)
    .action(async (pod: string | undefined, options: Options) => {
      if (isLocal(options)) return show(await localProxies(options), pod, options)
      await withCluster(options, async (client) => show(await proxiesOf(client, options), pod, options, () => sidecarVersions(client)))
    })
}

async function show(all: readonly Proxy[], pod: string | undefined, options: Options, versionsOf = localVersions(all)): Promise<void> {
  const shown = all.filter((p) => isAsked(p.proxy, pod, options.namespace)).sort((a, b) => (a.proxy < b.proxy ? -1 : 1))
  if (shown.length === 0) throw new ExitError(1, pod === undefined ? 'kith proxy-status: no sidecar is connected' : `kith proxy-status: no sidecar of "${pod}" is connected`)
  if (options.output === 'json') return void process.stdout.write(JSON.stringify(shown, null, 2) + '\n')
  process.stdout.write(tableOf(shown, await versionsOf(), options.verbosity === 'max') + '\n')
  for (const p of shown) if (p.lastError !== '') process.stdout.write(`\n${p.proxy} refused what it was last sent, and goes on with what it had:\n  ${p.lastError}\n`)
}

/** The one control plane of the mesh that runs here, which has no pod. */
async function localProxies(options: Options): Promise<readonly Proxy[]> {
  return proxiesIn(await (await attachLocal(options)).controlPlanePage('/debug/syncz'), 'local', 'default')
}

/** A local mesh runs one version. */
function localVersions(all: readonly Proxy[]): () => Promise<ReadonlyMap<string, string>> {
  return async () => new Map(all.map((p) => [p.proxy, version]))
}

function proxiesIn(page: unknown, istiod: string, revision: string): readonly Proxy[] {
  const found = isRecord(page) && Array.isArray(page['proxies']) ? (page['proxies'] as Omit<Proxy, 'istiod' | 'revision'>[]) : []
  return found.map((p) => ({ ...p, istiod, revision }))
}

function isAsked(proxy: string, pod: string | undefined, namespace: string | undefined): boolean {
  const [name, own] = [proxy.slice(0, proxy.lastIndexOf('.')), proxy.slice(proxy.lastIndexOf('.') + 1)]
  return (namespace === undefined || own === namespace) && (pod === undefined || pod === proxy || pod === name)
}

/** Each replica of each control plane knows the sidecars that are connected to it. */
async function proxiesOf(client: KubernetesClient, { istioNamespace, kubeconfig, context }: Options): Promise<readonly Proxy[]> {
  const pods = (await client.list({ apiVersion: 'v1', kind: 'Pod', namespace: istioNamespace, labelSelector: 'app=istiod', fieldSelector: 'status.phase=Running' })).items.filter((p) => p.metadata.deletionTimestamp === undefined)
  if (pods.length === 0) throw new KithError('NO_CONTROL_PLANE', `no running control plane in namespace ${istioNamespace}; kith install brings one`)
  const answers = await Promise.all(pods.map(async ({ metadata: { name = '', labels } }) => {
    const [answer] = await adminPages({ namespace: istioNamespace, pod: name, port: debugPort }, ['/debug/syncz'], { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) })
    return proxiesIn(answer, name, labels?.['istio.io/rev'] ?? 'default')
  }))
  return answers.flat()
}

async function sidecarVersions(client: KubernetesClient): Promise<ReadonlyMap<string, string>> {
  const { items } = await client.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: 'security.istio.io/tlsMode=istio' })
  return new Map(items.map((p) => [`${p.metadata.name}.${p.metadata.namespace}`, tagOf(podImage(p, 'istio-proxy'))]))
}

function tableOf(proxies: readonly Proxy[], versions: ReadonlyMap<string, string>, whole: boolean): string {
  const names = Object.values(typeNames)
  const header = ['NAME', 'CLUSTER', 'ISTIOD', 'VERSION', ...(whole ? names : ['SUBSCRIBED TYPES'])]
  return formatTable(header, proxies.map((p) => {
    const own = new Map(p.types.map((t) => [typeNames[t.typeUrl.slice(t.typeUrl.lastIndexOf('.') + 1)] ?? '', t]))
    const known = names.filter((n) => own.has(n))
    const state = (name: string): string => {
      const type = own.get(name)
      return type === undefined ? 'IGNORED' : type.pending ? 'STALE' : `SYNCED (${type.resources})`
    }
    const types = whole ? names.map((n) => ({ text: state(n) })) : [{ text: `${known.length} (${known.join(',')})` }]
    return [{ text: p.proxy }, { text: 'Kubernetes' }, { text: p.istiod }, { text: versions.get(p.proxy) ?? '' }, ...types]
  }), '')
}
