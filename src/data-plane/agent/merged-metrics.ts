// One scrape of the pod: the sidecar's numbers and the application's, where its annotations told Prometheus to look for them. Istio: prometheus.istio.io/merge-metrics.
import { KithError } from '#lib/errors.ts'

export interface ApplicationMetrics {
  readonly port: number
  readonly path: string
}

const timeoutMs = 5000
const largestBytes = 32 * 1024 * 1024

interface Said {
  readonly scrape?: string
  readonly path?: string
  readonly port?: string
  /** Of several endpoints; the first one stands in `port` and `path` too. */
  readonly targets?: readonly { readonly port?: string; readonly path?: string }[]
}

/** ISTIO_PROMETHEUS_ANNOTATIONS: `{"scrape":"true","path":"/metrics","port":"8080"}`; empty: nothing to ask. Throws ENV_INVALID. */
export function applicationMetrics(json: string, statusPort: number): readonly ApplicationMetrics[] {
  if (json === '') return []
  let said: Said
  try {
    said = JSON.parse(json) as Said
  } catch (cause) {
    throw new KithError('ENV_INVALID', 'ISTIO_PROMETHEUS_ANNOTATIONS is no JSON object', { cause })
  }
  if (said.scrape === 'false') return []
  return (said.targets ?? [said]).flatMap(({ port: text, path }) => {
    const port = Number(text === undefined || text === '' ? '80' : text)
    // The agent's own page would ask itself for ever.
    if (!Number.isInteger(port) || port < 1 || port > 65535 || port === statusPort) return []
    return [{ port, path: path === undefined || path === '' ? '/metrics' : path.startsWith('/') ? path : `/${path}` }]
  })
}

/** `failed` counts what could not be had; the sidecar's own numbers come all the same. */
export async function mergeMetrics(own: string, from: readonly ApplicationMetrics[], failed: () => void): Promise<string> {
  const texts = await Promise.all(from.map((f) => ask(f, failed)))
  return texts.reduce((all, text) => (text === '' ? all : `${all}${all.endsWith('\n') ? '' : '\n'}${text}`), own)
}

async function ask({ port, path }: ApplicationMetrics, failed: () => void): Promise<string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { accept: 'text/plain;version=0.0.4' }, signal: AbortSignal.timeout(timeoutMs), redirect: 'error' })
    const text = await answer.text()
    if (!answer.ok || text.length > largestBytes) throw new Error(`answered ${answer.status}`)
    return text.replace(/(^|\n)# EOF\s*$/, '$1')
  } catch {
    failed()
    return ''
  }
}
