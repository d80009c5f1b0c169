// Prometheus scrapes the agent, which merges; what the application had asked for goes to the agent. Istio: pkg/kube/inject/webhook.go, applyPrometheusMerge.
import { objectsIn, type Earlier } from './earlier.ts'
import type { InjectSettings } from './settings.ts'
import type { Obj } from './template-types.ts'

interface Target {
  readonly port: string
  readonly path: string
}

/** The sidecar's own: to merge them would be to merge what is merged, or what is no metrics. */
const reserved: Readonly<Record<string, string>> = { 15000: 'admin', 15001: 'outbound traffic', 15004: 'debug', 15006: 'inbound traffic', 15008: 'tunnel', 15020: 'the agent', 15021: 'health', 15053: 'DNS', 15090: 'the proxy’s own metrics, merged already' }
const securePortKey = 'prometheus.istio.io/secure-port'
const targetsKey = 'prometheus.istio.io/scrape-targets'

/** Changes the annotations. `env`: for the sidecar; `faults`: a port that can't be scraped. */
export function mergePrometheus(annotations: Record<string, string>, settings: InjectSettings, agentPort: number, earlier: Earlier): { readonly env?: Obj; readonly faults: readonly string[]; readonly warnings: readonly string[] } {
  const merge = (annotations['prometheus.istio.io/merge-metrics'] ?? String(settings.enablePrometheusMerge)).toLowerCase()
  const asked = { scrape: find(annotations, 'prometheus_io_scrape'), path: find(annotations, 'prometheus_io_path'), port: find(annotations, 'prometheus_io_port') }
  if (/^(false|f|0)$/i.test(asked.scrape ?? '') || !['true', '1', 't'].includes(merge)) return { faults: [], warnings: [] }
  const port = String(agentPort)
  const ours = { 'prometheus.io/port': port, 'prometheus.io/path': '/stats/prometheus', 'prometheus.io/scrape': 'true' }
  const again = earlier.revision !== undefined && asked.path === ours['prometheus.io/path']
  if (again) Object.assign(annotations, ours)
  if (again || asked.port === port) return { faults: [], warnings: [], ...(earlier.prometheus === undefined ? {} : { env: earlier.prometheus }) }

  const asTargets = targetsOf(find(annotations, sanitized(targetsKey)) ?? '')
  // One without a port makes nothing of them all, as in Istio.
  const unread = asTargets.some((t) => t.port === '')
  const targets = unread ? [] : asTargets
  const warnings = unread ? [`${targetsKey} has an entry without a port: it is passed over`] : []
  const faults = targets.length > 0 ? targets.flatMap((t) => portFault(targetsKey, t.port)) : portFault('prometheus.io/port', asked.port ?? '')
  if (faults.length > 0) return { faults, warnings }
  // Of two spellings Prometheus would take any.
  for (const key of Object.keys(annotations)) if (/^prometheus_io_(scrape|path|port)$/.test(sanitized(key)) || sanitized(key) === sanitized(targetsKey)) delete annotations[key]
  Object.assign(annotations, ours)
  if (targets.length === 0 && Object.values(asked).every((v) => v === undefined || v === '')) return { faults, warnings }
  const [first] = targets
  const value = { scrape: asked.scrape ?? '', path: first?.path ?? asked.path ?? '', port: first?.port ?? asked.port ?? '', ...(targets.length === 0 ? {} : { targets }) }
  return { faults, warnings, env: { name: 'ISTIO_PROMETHEUS_ANNOTATIONS', value: JSON.stringify(value) } }
}

/** Where the sidecar gives its metrics by mutual TLS, if its environment says so and the user has not said it himself. */
export function announceSecurePort(annotations: Record<string, string>, proxy: Obj): void {
  const port = objectsIn(proxy['env']).find((e) => e['name'] === 'ENVOY_SECURE_MERGED_METRICS_PORT' && e['value'] !== undefined && e['value'] !== '' && e['value'] !== '0')?.['value']
  if (port !== undefined && find(annotations, sanitized(securePortKey)) === undefined) annotations[securePortKey] = String(port)
}

/** `8080:/metrics,9100` */
function targetsOf(text: string): Target[] {
  return text.split(',').map((t) => t.trim()).filter((t) => t !== '').map((t) => {
    const colon = t.indexOf(':')
    return { port: (colon === -1 ? t : t.slice(0, colon)).trim(), path: (colon === -1 ? '' : t.slice(colon + 1).trim()) || '/metrics' }
  })
}

function portFault(annotation: string, port: string): string[] {
  if (port === '') return []
  const number = /^\+?\d+$/.test(port) ? Number(port) : 0
  if (number < 1 || number > 65535) return [`invalid annotation ${annotation}: "${port}" is no port (1 to 65535)`]
  const why = reserved[String(number)]
  return why === undefined ? [] : [`invalid annotation ${annotation}: port ${number} is the sidecar’s (${why})`]
}

function find(annotations: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.entries(annotations).find(([key]) => sanitized(key) === name)?.[1]
}

/** As Prometheus makes a label's name of an annotation's. */
function sanitized(key: string): string {
  return key.replaceAll(/[^A-Za-z0-9_]/g, '_')
}
