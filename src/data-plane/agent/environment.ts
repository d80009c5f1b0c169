// The agent's settings, from the environment that injection gives it (Istio's names; KITH_… where Istio has none).
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import type { DialMap } from '#proxy'
import type { XdsNode } from '#xds'

export interface AgentSettings {
  readonly pod: string
  readonly namespace: string
  readonly serviceAccount: string
  readonly workload: string
  readonly owner: string
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly cluster: string
  readonly trustDomain: string
  /** `ip:port` of the CA and of xDS. */
  readonly caAddress: string
  readonly discoveryAddress: string
  /** The name that the control plane's certificate must have. */
  readonly discoveryName: string
  readonly tokenPath: string
  readonly rootPath: string
  /** Asked of the CA; 0 = what the CA gives. */
  readonly certificateSeconds: number
  readonly proxy: 'kith' | 'envoy'
  /** '' = `envoy` in PATH. */
  readonly envoyPath: string
  readonly dialMap: DialMap | undefined
  readonly mark: number | undefined
  /** Explicit mode: files that policies name are looked for below this folder first. */
  readonly fileRoot: string | undefined
  /** Explicit mode: admin ports are counted from here. */
  readonly portBase: number | undefined
  /** ISTIO_KUBE_APP_PROBERS, as JSON. */
  readonly probers: string
  readonly drainMs: number
}

type Environment = Readonly<Record<string, string | undefined>>

/** Throws ENV_MISSING with the name of what is not there. */
export function readEnvironment(env: Environment): AgentSettings {
  const need = (name: string): string => {
    const value = env[name]
    if (value === undefined || value === '') throw new KithError('ENV_MISSING', `the environment lacks ${name}`)
    return value
  }
  const pod = need('POD_NAME')
  const caAddress = need('CA_ADDR')
  const number = (name: string): number | undefined => (env[name] === undefined || env[name] === '' ? undefined : Number(env[name]))
  const namespace = need('POD_NAMESPACE')
  const mapFile = env['KITH_INTERCEPTION'] === 'NONE' ? need('KITH_DIAL_MAP') : undefined
  return {
    pod, namespace, serviceAccount: env['SERVICE_ACCOUNT'] ?? 'default', workload: env['ISTIO_META_WORKLOAD_NAME'] ?? pod, owner: env['ISTIO_META_OWNER'] ?? '', address: env['INSTANCE_IP'] ?? '127.0.0.1',
    labels: parseLabels(env['ISTIO_METAJSON_LABELS']), cluster: env['ISTIO_META_CLUSTER_ID'] ?? 'Kubernetes', trustDomain: env['TRUST_DOMAIN'] ?? 'cluster.local',
    caAddress, discoveryAddress: env['KITH_DISCOVERY_ADDRESS'] ?? caAddress, discoveryName: env['KITH_DISCOVERY_NAME'] ?? 'istiod.istio-system.svc',
    tokenPath: env['KITH_TOKEN_PATH'] ?? '/var/run/secrets/tokens/istio-token', rootPath: env['KITH_ROOT_CERT_PATH'] ?? '/var/run/secrets/istio/root-cert.pem', certificateSeconds: number('SECRET_TTL_SECONDS') ?? 0,
    proxy: env['KITH_PROXY'] === 'envoy' ? 'envoy' : 'kith', envoyPath: env['KITH_ENVOY_PATH'] ?? '', dialMap: mapFile === undefined ? undefined : (JSON.parse(readFileSync(mapFile, 'utf8')) as DialMap),
    mark: number('KITH_PROXY_MARK'), fileRoot: env['KITH_FILE_ROOT'], portBase: number('KITH_PORT_BASE'), probers: env['ISTIO_KUBE_APP_PROBERS'] ?? '', drainMs: (number('TERMINATION_DRAIN_DURATION_SECONDS') ?? 5) * 1000,
  }
}

function parseLabels(text: string | undefined): Readonly<Record<string, string>> {
  if (text === undefined || text === '') return {}
  try {
    return JSON.parse(text) as Record<string, string>
  } catch (cause) {
    throw new KithError('ENV_INVALID', 'ISTIO_METAJSON_LABELS is no JSON object', { cause })
  }
}

/** `sidecar~10.0.0.1~sleep-1.foo~foo.svc.cluster.local` */
export function nodeId(s: AgentSettings): string {
  return `sidecar~${s.address}~${s.pod}.${s.namespace}~${s.namespace}.svc.cluster.local`
}

/** What the control plane is told of this proxy, in Istio's words. */
export function xdsNode(s: AgentSettings): XdsNode {
  return { id: nodeId(s), cluster: `${s.workload}.${s.namespace}`, metadata: { NAMESPACE: s.namespace, LABELS: s.labels, SERVICE_ACCOUNT: s.serviceAccount, WORKLOAD_NAME: s.workload, OWNER: s.owner, CLUSTER_ID: s.cluster, INTERCEPTION_MODE: s.dialMap === undefined ? 'REDIRECT' : 'NONE', GENERATOR: 'kith' } }
}
