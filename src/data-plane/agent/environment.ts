// The agent's settings, from the environment that injection gives it (Istio's names; KITH_… where Istio has none).
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import type { LeavingSettings } from './leaving.ts'
import { hostName, parseDownwardMap, parseDuration } from './pod-info.ts'
import type { DialMap } from '#proxy'
import { levelName, resourceLevel, type XdsNode } from '#xds'

export interface AgentSettings {
  readonly pod: string
  readonly namespace: string
  /** `foo.svc.cluster.local` */
  readonly domain: string
  readonly serviceAccount: string
  readonly workload: string
  readonly owner: string
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly cluster: string
  readonly trustDomain: string
  /** `host:port` of the CA and of xDS. */
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
  /** ISTIO_PROMETHEUS_ANNOTATIONS, as JSON: where the application's own metrics are. */
  readonly prometheus: string
  readonly statusPort: number
  /** From the first byte of a head, a ClientHello or an HTTP/2 preface to its last; 0 = no limit; undefined = the proxy's default. */
  readonly headTimeoutMs: number | undefined
  readonly leaving: LeavingSettings
  /** What else Istio tells its control plane of a proxy. */
  readonly metadata: Readonly<Record<string, string>>
}

const labelsFile = '/etc/istio/pod/labels'

type Environment = Readonly<Record<string, string | undefined>>

/** `domain`: of the pod's namespace, as the flag says it. Throws ENV_MISSING with the name of what is not there. */
export function readEnvironment(env: Environment, domain?: string): AgentSettings {
  const need = (name: string): string => {
    const value = env[name]
    if (value === undefined || value === '') throw new KithError('ENV_MISSING', `the environment lacks ${name}`)
    return value
  }
  const pod = need('POD_NAME')
  const config = parseObject(env, 'PROXY_CONFIG')
  const said = (field: string): string | undefined => (typeof config[field] === 'string' || typeof config[field] === 'number' ? String(config[field]) : undefined)
  const caAddress = env['CA_ADDR'] || said('discoveryAddress') || need('CA_ADDR')
  const discoveryAddress = env['KITH_DISCOVERY_ADDRESS'] ?? said('discoveryAddress') ?? caAddress
  const number = (name: string): number | undefined => (env[name] === undefined || env[name] === '' ? undefined : Number(env[name]))
  const durationMs = (text: string | undefined): number | undefined => (text === undefined ? undefined : parseDuration(text))
  const namespace = need('POD_NAMESPACE')
  const mapFile = env['KITH_INTERCEPTION'] === 'NONE' ? need('KITH_DIAL_MAP') : undefined
  const drainSeconds = number('TERMINATION_DRAIN_DURATION_SECONDS')
  return {
    pod, namespace, domain: domain ?? `${namespace}.svc.cluster.local`, serviceAccount: env['SERVICE_ACCOUNT'] || 'default', workload: env['ISTIO_META_WORKLOAD_NAME'] ?? pod, owner: env['ISTIO_META_OWNER'] ?? '', address: env['INSTANCE_IP'] ?? '127.0.0.1',
    labels: readLabels(env), cluster: env['ISTIO_META_CLUSTER_ID'] ?? 'Kubernetes', trustDomain: env['TRUST_DOMAIN'] ?? 'cluster.local',
    caAddress, discoveryAddress, discoveryName: env['KITH_DISCOVERY_NAME'] ?? hostName(discoveryAddress) ?? 'istiod.istio-system.svc',
    tokenPath: env['KITH_TOKEN_PATH'] ?? '/var/run/secrets/tokens/istio-token', rootPath: env['KITH_ROOT_CERT_PATH'] ?? '/var/run/secrets/istio/root-cert.pem',
    certificateSeconds: number('SECRET_TTL_SECONDS') ?? (durationMs(env['SECRET_TTL']) ?? 0) / 1000,
    proxy: env['KITH_PROXY'] === 'envoy' ? 'envoy' : 'kith', envoyPath: env['KITH_ENVOY_PATH'] ?? '', dialMap: mapFile === undefined ? undefined : (JSON.parse(readFileSync(mapFile, 'utf8')) as DialMap),
    mark: number('KITH_PROXY_MARK'), fileRoot: env['KITH_FILE_ROOT'], portBase: number('KITH_PORT_BASE'), probers: env['ISTIO_KUBE_APP_PROBERS'] ?? '', prometheus: env['ISTIO_PROMETHEUS_ANNOTATIONS'] ?? '', statusPort: Number(said('statusPort') ?? 15020),
    headTimeoutMs: readDuration(env, 'KITH_HEAD_TIMEOUT'),
    leaving: {
      drainMs: drainSeconds === undefined ? (durationMs(said('terminationDrainDuration')) ?? 5000) : drainSeconds * 1000,
      untilIdle: env['EXIT_ON_ZERO_ACTIVE_CONNECTIONS'] === 'true', leastMs: durationMs(env['MINIMUM_DRAIN_DURATION']) ?? 5000, whenIdle: env['KITH_LEAVE_WHEN_IDLE'] === 'true',
    },
    metadata: Object.fromEntries(['NETWORK', 'MESH_ID', 'NODE_NAME'].flatMap((name) => (env[`ISTIO_META_${name}`] ? [[name, env[`ISTIO_META_${name}`] as string]] : []))),
  }
}

/** In a cluster the downward API's file; elsewhere ISTIO_METAJSON_LABELS. */
function readLabels(env: Environment): Readonly<Record<string, string>> {
  if (env['ISTIO_METAJSON_LABELS'] !== undefined) return parseObject(env, 'ISTIO_METAJSON_LABELS') as Record<string, string>
  try {
    return parseDownwardMap(readFileSync(env['KITH_LABELS_PATH'] ?? labelsFile, 'utf8'))
  } catch {
    return {}
  }
}

/** undefined where it is not set. Throws ENV_INVALID where it is no duration. */
function readDuration(env: Environment, name: string): number | undefined {
  const text = env[name]
  if (text === undefined || text === '') return undefined
  const ms = parseDuration(text)
  if (ms === undefined || ms < 0) throw new KithError('ENV_INVALID', `${name} is "${text}", not a duration such as 60s, or 0s for none`)
  return ms
}

function parseObject(env: Environment, name: string): Readonly<Record<string, unknown>> {
  const text = env[name]
  if (text === undefined || text === '') return {}
  const odd = (cause?: unknown): KithError => new KithError('ENV_INVALID', `${name} is no JSON object`, { cause })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw odd(cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw odd()
  return value as Record<string, unknown>
}

/** `sidecar~10.0.0.1~sleep-1.foo~foo.svc.cluster.local` */
export function nodeId(s: AgentSettings): string {
  return `sidecar~${s.address}~${s.pod}.${s.namespace}~${s.domain}`
}

/** What the control plane is told of this proxy, in Istio's words. */
export function xdsNode(s: AgentSettings): XdsNode {
  return { id: nodeId(s), cluster: `${s.workload}.${s.namespace}`, metadata: { NAMESPACE: s.namespace, LABELS: s.labels, SERVICE_ACCOUNT: s.serviceAccount, WORKLOAD_NAME: s.workload, OWNER: s.owner, CLUSTER_ID: s.cluster, INTERCEPTION_MODE: s.dialMap === undefined ? 'REDIRECT' : 'NONE', GENERATOR: s.proxy === 'kith' ? 'kith' : 'envoy', ...(s.proxy === 'kith' ? { [levelName]: String(resourceLevel) } : {}), ...s.metadata } }
}
