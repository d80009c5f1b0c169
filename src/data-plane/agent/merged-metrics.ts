// One scrape of the pod: the sidecar's numbers and the application's, where its annotations told Prometheus to look for them. Istio: prometheus.istio.io/merge-metrics.
import { KithError } from '#lib/errors.ts'

export interface ApplicationMetrics {
  readonly port: number
  readonly path: string
}

const timeoutMs = 5000
const largestBytes = 32 * 1024 * 1024

/** ISTIO_PROMETHEUS_ANNOTATIONS: `{"scrape":"true","path":"/metrics","port":"8080"}`; undefined: nothing to ask. Throws ENV_INVALID. */
export function applicationMetrics(json: string, statusPort: number): ApplicationMetrics | undefined {
  if (json === '') return undefined
  let said: { scrape?: string; path?: string; port?: string }
  try {
    said = JSON.parse(json) as typeof said
  } catch (cause) {
    throw new KithError('ENV_INVALID', 'ISTIO_PROMETHEUS_ANNOTATIONS is no JSON object', { cause })
  }
  const port = Number(said.port ?? '80')
  // The agent's own page would ask itself for ever.
  if (said.scrape === 'false' || !Number.isInteger(port) || port < 1 || port > 65535 || port === statusPort) return undefined
  return { port, path: said.path === undefined || said.path === '' ? '/metrics' : said.path.startsWith('/') ? said.path : `/${said.path}` }
}

/** `failed` counts what could not be had; the sidecar's own numbers come all the same. */
export async function mergeMetrics(own: string, from: ApplicationMetrics | undefined, failed: () => void): Promise<string> {
  if (from === undefined) return own
  try {
    const answer = await fetch(`http://127.0.0.1:${from.port}${from.path}`, { headers: { accept: 'text/plain;version=0.0.4' }, signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
    const text = await answer.text()
    if (!answer.ok || text.length > largestBytes) throw new Error(`answered ${answer.status}`)
    return `${own}${own.endsWith('\n') ? '' : '\n'}${text.replace(/(^|\n)# EOF\s*$/, '$1')}`
  } catch {
    failed()
    return own
  }
}
