// kith version: of this command, of the control planes in the cluster, and of the sidecars. istioctl's text and JSON.
import { Command } from 'commander'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import { version } from '#lib/version.ts'
import { clusterOptions, namesCluster, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { podImage, tagOf } from '../images.ts'

interface Options extends ClusterOptions {
  readonly short: string | boolean
  readonly remote: string | boolean
  readonly output?: string
  readonly istioNamespace: string
}

interface ControlPlane { readonly pod: string; readonly revision: string; readonly version: string }
interface Proxy { readonly pod: string; readonly version: string }
interface Remote { readonly controlPlanes: readonly ControlPlane[]; readonly proxies: readonly Proxy[] }

export function build(): Command {
  return clusterOptions(new Command('version'))
    .description('Versions of this command, of the control planes in the cluster and of the sidecars.')
    .option('-s, --short [yes]', 'numbers alone', 'true')
    .option('--remote [yes]', 'ask the cluster as well', 'true')
    .option('-o, --output <format>', 'yaml or json')
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    .addHelpText('after', `
Examples:
  kith version
  kith version --remote=false
  kith version -o json`)
    .action(async (options: Options) => {
      if (options.output !== undefined && !['json', 'yaml'].includes(options.output)) throw new ExitError(2, `kith version: --output takes yaml or json, not ${options.output}`)
      const wanted = isYes(options.remote) && namesCluster(options)
      const asked = wanted ? await ask(options) : undefined
      if (typeof asked === 'string') process.stderr.write(`${asked}\n`)
      const remote = typeof asked === 'string' ? undefined : asked
      if (options.output !== undefined) process.stdout.write(await structured(remote, options.output))
      else process.stdout.write(text(remote, isYes(options.short), options.istioNamespace))
    })
}

const isYes = (given: string | boolean): boolean => given === true || given === 'true'

/** A cluster that can't be asked is said, and the rest is printed. */
async function ask(options: Options): Promise<Remote | string> {
  try {
    return await withCluster(options, (client) => remoteVersions(client, options.istioNamespace))
  } catch (error) {
    if (error instanceof KithError) return `the cluster can't be asked: ${error.message.split('\n')[0]}`
    throw error
  }
}

async function remoteVersions(client: KubernetesClient, namespace: string): Promise<Remote> {
  const [control, meshed] = await Promise.all([
    client.list({ apiVersion: 'v1', kind: 'Pod', namespace, labelSelector: 'app=istiod', fieldSelector: 'status.phase=Running' }),
    client.list({ apiVersion: 'v1', kind: 'Pod', labelSelector: 'security.istio.io/tlsMode=istio', fieldSelector: 'status.phase=Running' }),
  ])
  return {
    controlPlanes: control.items.map((pod) => ({ pod: pod.metadata.name ?? '', revision: pod.metadata.labels?.['istio.io/rev'] ?? 'default', version: pod.metadata.labels?.['app.kubernetes.io/version'] ?? tagOf(podImage(pod, 'discovery')) })),
    proxies: meshed.items.flatMap((pod) => {
      const image = podImage(pod, 'istio-proxy')
      return image === undefined ? [] : [{ pod: `${pod.metadata.name ?? ''}.${pod.metadata.namespace ?? ''}`, version: tagOf(image) }]
    }),
  }
}

function text(remote: Remote | undefined, short: boolean, namespace: string): string {
  const client = `client version: ${short ? version : `${version} (Node ${process.versions.node}, ${process.platform}/${process.arch})`}\n`
  if (remote === undefined) return client
  const lines: string[] = []
  if (remote.controlPlanes.length === 0) lines.push(`Istio is not present in the cluster: no running Istio pods in namespace "${namespace}"\n`)
  lines.push(client)
  for (const [, planes] of Map.groupBy(remote.controlPlanes, (c) => (short ? c.version : `${c.revision} ${c.version}`))) {
    const { revision, version: found } = planes[0] as ControlPlane
    lines.push(`control plane version: ${found}${short ? '' : ` (revision ${revision}: ${planes.map((p) => p.pod).join(', ')})`}\n`)
  }
  const versions = [...Map.groupBy(remote.proxies, (p) => p.version)].sort(([a], [b]) => (a < b ? -1 : 1)).map(([found, proxies]) => `${found} (${proxies.length} ${proxies.length === 1 ? 'proxy' : 'proxies'})`)
  if (versions.length > 0) lines.push(`data plane version: ${versions.join(', ')}\n`)
  else if (remote.controlPlanes.length > 0) lines.push('data plane version: none\n')
  return lines.join('')
}

async function structured(remote: Remote | undefined, format: string): Promise<string> {
  const info = (found: string): object => ({ version: found, revision: '', golang_version: '', status: '', tag: found })
  const whole = {
    clientVersion: { ...info(version), node_version: process.versions.node },
    ...(remote === undefined ? {} : {
      meshVersion: remote.controlPlanes.map((c) => ({ Component: 'pilot', Revision: c.revision, Info: info(c.version) })),
      dataPlaneVersion: remote.proxies.map((p) => ({ ID: p.pod, IstioVersion: p.version })),
    }),
  }
  return format === 'json' ? JSON.stringify(whole, null, 2) + '\n' : (await import('yaml')).stringify(whole)
}
