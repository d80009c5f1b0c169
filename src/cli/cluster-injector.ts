// What the injector of a cluster goes by, read once: its ConfigMaps and kubelets, as its webhook reads them.
import { stringify } from 'yaml'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import { isRecord } from '#api'
import { createInjector, nativeSidecars, type Injector, type Yaml } from '#inject'
import { parseYaml } from '#sources'

export interface ClusterInjectorOptions {
  readonly revision: string
  readonly istioNamespace: string
  readonly injectConfigMapName?: string
  readonly meshConfigMapName?: string
}

export const yaml: Yaml = { parse: parsed, print: (value) => stringify(value, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false }) }

/** Throws K8S_NOT_FOUND where there is no injector of that revision. */
export async function clusterInjector(client: KubernetesClient, { revision, istioNamespace: namespace, ...names }: ClusterInjectorOptions): Promise<Injector & { readonly faults: readonly string[] }> {
  const revisioned = (name: string): string => (revision === 'default' ? name : `${name}-${revision}`)
  const [injector, mesh, nodes] = await Promise.all([
    client.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: names.injectConfigMapName ?? revisioned('istio-sidecar-injector') }), client.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name: names.meshConfigMapName ?? revisioned('istio') }), kubelets(client),
  ])
  if (injector === undefined) throw new KithError('K8S_NOT_FOUND', `there is no ConfigMap ${names.injectConfigMapName ?? revisioned('istio-sidecar-injector')} in ${namespace}: is revision ${revision} installed there? (-r, -i)`)
  const text = (map: typeof injector | undefined, key: string): string => (isRecord(map?.['data']) && typeof map['data'][key] === 'string' ? map['data'][key] : '')
  const made = createInjector({ config: parsed(text(injector, 'config')), values: parsed(text(injector, 'values')), meshConfig: parsed(text(mesh, 'mesh')), revision, yaml })
  return { ...made, settings: { ...made.settings, nativeSidecars: made.settings.nativeSidecars || nativeSidecars('auto', nodes, undefined) } }
}

/** None that may be read: classic sidecars, which run on every kubelet. */
async function kubelets(client: KubernetesClient): Promise<ReadonlyMap<string, string>> {
  try {
    const { items } = await client.list({ apiVersion: 'v1', kind: 'Node' })
    return new Map(items.map((n) => [n.metadata.name ?? '', String((n as { status?: { nodeInfo?: { kubeletVersion?: string } } }).status?.nodeInfo?.kubeletVersion ?? '')]))
  } catch (error) {
    if (error instanceof KithError && error.code === 'K8S_FORBIDDEN') return new Map()
    throw error
  }
}

function parsed(text: string): unknown {
  const { documents, problems } = parseYaml(text, 'ConfigMap')
  const fault = problems.find((p) => p.severity === 'error')
  if (fault !== undefined) throw new KithError('YAML_INVALID', `line ${fault.ref.line ?? 1}: ${fault.message}`)
  return documents[0]?.value ?? {}
}
