// A pod's own ProxyConfig, in `proxy.istio.io/config`: protobuf's JSON as YAML. What can't be read, or can't be meant, refuses the pod.
// Istio: pkg/config/mesh/mesh.go ApplyProxyConfig; pkg/config/validation/agent/validation.go ValidateMeshConfigProxyConfig.
import { isIP } from 'node:net'
import { isRecord, parseDuration } from '#api'

type Obj = Record<string, unknown>
type Check = (value: unknown) => string | undefined

const text: Check = (v) => (typeof v === 'string' ? undefined : 'must be text: put it in quotes')
const flag: Check = (v) => (typeof v === 'boolean' ? undefined : 'must be true or false, without quotes')
const whole: Check = (v) => (Number.isInteger(typeof v === 'string' && v !== '' ? Number(v) : v) ? undefined : 'must be a whole number')
const duration: Check = (v) => (typeof v === 'string' && parseDuration(v) !== undefined ? undefined : 'must be a duration such as 5s')
const word = (...words: readonly string[]): Check => (v) => (words.includes(v as string) || (typeof v === 'number' && words[v] !== undefined) ? undefined : `must be one of ${words.join(', ')}`)
const texts: Check = (v) => (isRecord(v) && Object.values(v).every((one) => typeof one === 'string') ? undefined : 'must be a map of texts: put numbers, true and false in quotes')
const map: Check = (v) => (isRecord(v) ? undefined : 'must be a map')
const list: Check = (v) => (Array.isArray(v) ? undefined : 'must be a list')
const port: Check = (v) => whole(v) ?? (Number(v) >= 1 && Number(v) <= 65535 ? undefined : 'must be a port (1 to 65535)')
const filled: Check = (v) => text(v) ?? (v === '' ? 'must not be empty' : undefined)
const host = /^(?=.{1,255}$)[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)*\.?$/i
const address: Check = (v) => text(v) ?? (isAddress(v as string) ? undefined : 'must have the form <host>:<port>')
const orNone = (check: Check): Check => (v) => (v === '' ? undefined : check(v))
const service: Check = (v) => map(v) ?? (typeof (v as Obj)['address'] === 'string' ? orNone(address)((v as Obj)['address']) : undefined)
/** Where spans go: on each node one, or one for all. */
const collector: Check = (v) => map(v) ?? address(String((v as Obj)['address'] ?? '').replace('$(HOST_IP)', '127.0.0.1'))
const tracing: Check = (v) => map(v) ?? firstOf(v as Obj, { zipkin: collector, datadog: collector, lightstep: (l) => collector(l) ?? filled((l as Obj)['accessToken']) })
const seconds: Check = (v) => duration(v) ?? ((parseDuration(v as string) ?? 0) >= 1000 && (parseDuration(v as string) ?? 0) % 1000 === 0 ? undefined : 'must be whole seconds, from 1s on')
const polled: Check = (v) => map(v) ?? duration((v as Obj)['pollDelay'] ?? (v as Obj)['poll_delay'])
const keyProvider: Check = (v) => map(v) ?? (isRecord((v as Obj)['cryptomb']) || isRecord((v as Obj)['qat']) ? firstOf(v as Obj, { cryptomb: polled, qat: polled }) : 'must name a provider')

function firstOf(value: Obj, checks: Readonly<Record<string, Check>>): string | undefined {
  for (const [key, check] of Object.entries(checks)) {
    const why = value[key] === undefined || value[key] === null ? undefined : check(value[key])
    if (why !== undefined) return `${key} ${why}`
  }
  return undefined
}

function isAddress(text: string): boolean {
  const [, bracketed, plain, number = ''] = /^(?:\[([^\]]+)\]|([^:]+)):(\d+)$/.exec(text) ?? []
  const name = bracketed ?? plain
  return name !== undefined && Number(number) >= 1 && Number(number) <= 65535 && (isIP(name) !== 0 || (bracketed === undefined && host.test(name)))
}

const fields: Readonly<Record<string, Check>> = {
  configPath: filled, binaryPath: filled, statsdUdpAddress: orNone(address), envoyMetricsServiceAddress: orNone(address), customConfigFile: text, serviceCluster: filled, serviceNode: text, availabilityZone: text, zipkinAddress: text, proxyBootstrapTemplatePath: text, meshId: text, fileFlushMinSizeKb: whole,
  concurrency: whole, statNameLength: whole, statusPort: port, proxyAdminPort: port, drainDuration: seconds, parentShutdownDuration: duration, discoveryRefreshDelay: duration, terminationDrainDuration: duration, fileFlushInterval: duration,
  discoveryAddress: address, envoyAccessLogService: service, envoyMetricsService: service, interceptionMode: word('REDIRECT', 'TPROXY', 'NONE'), controlPlaneAuthPolicy: word('NONE', 'MUTUAL_TLS'),
  holdApplicationUntilProxyStarts: flag, proxyMetadata: texts, runtimeValues: texts, tracing, sds: map, gatewayTopology: map, proxyStatsMatcher: map, readinessProbe: map, image: map, privateKeyProvider: keyProvider, proxyHeaders: map, extraStatTags: list, caCertificatesPem: list,
}

/** Every field of ProxyConfig. */
export const proxyConfigFields: readonly string[] = Object.keys(fields)

export interface OwnProxyConfig { readonly config: Obj; readonly faults: readonly string[] }

/** `own`: as parsed. Field names in snake_case are the same fields. */
export function readProxyConfig(own: unknown): OwnProxyConfig {
  if (own === null || own === undefined) return { config: {}, faults: [] }
  if (!isRecord(own)) return { config: {}, faults: ['it must be a map'] }
  const config: Obj = {}
  const faults: string[] = []
  for (const [key, value] of Object.entries(own)) {
    const name = Object.hasOwn(fields, key) ? key : key.replaceAll(/_([a-z0-9])/g, (_m, c: string) => c.toUpperCase())
    if (value === null) continue
    const why = Object.hasOwn(fields, name) ? fields[name]?.(value) : undefined
    if (why !== undefined) faults.push(`${name} ${why}`)
    config[name] = value
  }
  return { config, faults }
}
