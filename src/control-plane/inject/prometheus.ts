// Prometheus scrapes the agent, which merges; what the application had asked for goes to the agent. Istio: pkg/kube/inject/webhook.go, applyPrometheusMerge.
import type { InjectSettings } from './settings.ts'
import type { Obj } from './template-types.ts'

/** Changes the annotations; the environment for the sidecar, or undefined. `before`: what an earlier injection had told the agent. */
export function mergePrometheus(annotations: Record<string, string>, settings: InjectSettings, before: Obj | undefined): Obj | undefined {
  const merge = (annotations['prometheus.istio.io/merge-metrics'] ?? String(settings.enablePrometheusMerge)).toLowerCase()
  const asked = { scrape: find(annotations, 'scrape'), path: find(annotations, 'path'), port: find(annotations, 'port') }
  if (/^(false|f|0)$/i.test(asked.scrape ?? '') || !['true', '1', 't'].includes(merge)) return undefined
  const port = String(settings.statusPort)
  if (asked.port === port || asked.path === '/stats/prometheus') return before
  // Of two spellings Prometheus would take any.
  for (const key of Object.keys(annotations)) if (/^prometheus_io_(scrape|path|port)$/.test(sanitized(key))) delete annotations[key]
  Object.assign(annotations, { 'prometheus.io/port': port, 'prometheus.io/path': '/stats/prometheus', 'prometheus.io/scrape': 'true' })
  if (Object.values(asked).every((v) => v === undefined)) return undefined
  return { name: 'ISTIO_PROMETHEUS_ANNOTATIONS', value: JSON.stringify({ scrape: asked.scrape ?? '', path: asked.path ?? '', port: asked.port ?? '' }) }
}

function find(annotations: Readonly<Record<string, string>>, word: string): string | undefined {
  return Object.entries(annotations).find(([key]) => sanitized(key) === `prometheus_io_${word}`)?.[1]
}

/** As Prometheus makes a label's name of an annotation's. */
function sanitized(key: string): string {
  return key.replaceAll(/[^A-Za-z0-9_]/g, '_')
}
