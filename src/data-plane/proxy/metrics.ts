// Istio's metrics as plain counters on the hot path; text is made when somebody scrapes. Law: a series is found once a connection, not once a request.
// Names and labels: istio.io, "Istio Standard Metrics".
import type { IstioService, RuntimeCluster } from '#engine'
import { unknownPeer, type PeerMetadata } from './peer-metadata.ts'

export interface SeriesLabels {
  readonly reporter: 'source' | 'destination'
  readonly source: PeerMetadata
  readonly sourcePrincipal: string
  readonly destination: PeerMetadata
  readonly destinationPrincipal: string
  readonly service: IstioService
  readonly protocol: 'http' | 'grpc' | 'tcp'
  /** '' for TCP. */
  readonly code: string
  readonly flags: string
  readonly grpcStatus: string
  readonly security: 'mutual_tls' | 'none' | 'unknown'
}

const bucketsMs = [0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000]

class Histogram {
  readonly counts: Float64Array = new Float64Array(bucketsMs.length + 1)
  sum = 0
  add(value: number): void {
    let i = 0
    while (i < bucketsMs.length && value > (bucketsMs[i] as number)) i++
    this.counts[i] = (this.counts[i] as number) + 1
    this.sum += value
  }
}

export class RequestSeries {
  readonly labels: string
  count = 0
  readonly durationMs = new Histogram()
  readonly requestBytes = new Histogram()
  readonly responseBytes = new Histogram()
  constructor(labels: string) {
    this.labels = labels
  }
  record(durationMs: number, requestBytes: number, responseBytes: number): void {
    this.count++
    this.durationMs.add(durationMs)
    this.requestBytes.add(requestBytes)
    this.responseBytes.add(responseBytes)
  }
}

export class TcpSeries {
  readonly labels: string
  opened = 0
  closed = 0
  sent = 0
  received = 0
  constructor(labels: string) {
    this.labels = labels
  }
}

const maxSeries = 20_000

export class Metrics {
  readonly #requests = new Map<string, RequestSeries>()
  readonly #tcp = new Map<string, TcpSeries>()
  /** Simple counters: name with labels → value. */
  readonly #counters = new Map<string, number>()
  readonly #overflowRequests = new RequestSeries('overflow="true"')
  readonly #overflowTcp = new TcpSeries('overflow="true"')

  requests(labels: SeriesLabels): RequestSeries {
    const text = labelText(labels, true)
    let series = this.#requests.get(text)
    if (series === undefined) {
      if (this.#requests.size >= maxSeries) return this.#overflowRequests
      this.#requests.set(text, (series = new RequestSeries(text)))
    }
    return series
  }

  tcp(labels: SeriesLabels): TcpSeries {
    const text = labelText(labels, false)
    let series = this.#tcp.get(text)
    if (series === undefined) {
      if (this.#tcp.size >= maxSeries) return this.#overflowTcp
      this.#tcp.set(text, (series = new TcpSeries(text)))
    }
    return series
  }

  /** `count('kith_plaintext_rejected_total', 'source="…"')` */
  count(name: string, labels = '', by = 1): void {
    const key = labels === '' ? name : `${name}{${labels}}`
    if (this.#counters.size >= maxSeries && !this.#counters.has(key)) return
    this.#counters.set(key, (this.#counters.get(key) ?? 0) + by)
  }

  counter(name: string, labels = ''): number {
    return this.#counters.get(labels === '' ? name : `${name}{${labels}}`) ?? 0
  }

  /** Prometheus text format 0.0.4. */
  text(gauges: Readonly<Record<string, number>>): string {
    const out: string[] = []
    const requests = [...this.#requests.values()]
    if (this.#overflowRequests.count > 0) requests.push(this.#overflowRequests)
    section(out, 'istio_requests_total', 'counter', requests, (s, name) => `${name}{${s.labels}} ${s.count}`)
    for (const [name, of] of [
      ['istio_request_duration_milliseconds', (s: RequestSeries) => s.durationMs],
      ['istio_request_bytes', (s: RequestSeries) => s.requestBytes],
      ['istio_response_bytes', (s: RequestSeries) => s.responseBytes],
    ] as const) {
      section(out, name, 'histogram', requests, (s, n) => histogramText(n, s.labels, of(s)))
    }
    const tcp = [...this.#tcp.values()]
    section(out, 'istio_tcp_connections_opened_total', 'counter', tcp, (s, n) => `${n}{${s.labels}} ${s.opened}`)
    section(out, 'istio_tcp_connections_closed_total', 'counter', tcp, (s, n) => `${n}{${s.labels}} ${s.closed}`)
    section(out, 'istio_tcp_sent_bytes_total', 'counter', tcp, (s, n) => `${n}{${s.labels}} ${s.sent}`)
    section(out, 'istio_tcp_received_bytes_total', 'counter', tcp, (s, n) => `${n}{${s.labels}} ${s.received}`)
    let last = ''
    for (const key of [...this.#counters.keys()].sort()) {
      const name = key.split('{')[0] as string
      if (name !== last) out.push(`# TYPE ${name} counter`)
      last = name
      out.push(`${key} ${this.#counters.get(key)}`)
    }
    for (const [key, value] of Object.entries(gauges)) {
      const name = key.split('{')[0] as string
      if (name !== last) out.push(`# TYPE ${name} gauge`)
      last = name
      out.push(`${key} ${value}`)
    }
    return out.join('\n') + '\n'
  }
}

function section<S>(out: string[], name: string, type: string, series: readonly S[], line: (s: S, name: string) => string): void {
  if (series.length === 0) return
  out.push(`# TYPE ${name} ${type}`)
  for (const s of series) out.push(line(s, name))
}

function histogramText(name: string, labels: string, h: Histogram): string {
  const lines: string[] = []
  let sum = 0
  bucketsMs.forEach((le, i) => {
    sum += h.counts[i] as number
    lines.push(`${name}_bucket{${labels},le="${le}"} ${sum}`)
  })
  sum += h.counts[bucketsMs.length] as number
  lines.push(`${name}_bucket{${labels},le="+Inf"} ${sum}`, `${name}_sum{${labels}} ${h.sum}`, `${name}_count{${labels}} ${sum}`)
  return lines.join('\n')
}

function labelText(l: SeriesLabels, http: boolean): string {
  const pairs: [string, string][] = [['reporter', l.reporter]]
  const side = (name: string, p: PeerMetadata, principal: string): void => {
    pairs.push([`${name}_workload`, p.workload], [`${name}_workload_namespace`, p.namespace], [`${name}_principal`, principal === '' ? 'unknown' : principal], [`${name}_app`, p.app], [`${name}_version`, p.version])
    pairs.push([`${name}_cluster`, p.cluster], [`${name}_canonical_service`, p.canonicalService], [`${name}_canonical_revision`, p.canonicalRevision])
  }
  side('source', l.source, l.sourcePrincipal)
  side('destination', l.destination, l.destinationPrincipal)
  pairs.push(['destination_service', l.service.host], ['destination_service_name', l.service.name], ['destination_service_namespace', l.service.namespace], ['request_protocol', l.protocol])
  if (http) pairs.push(['response_code', l.code], ['grpc_response_status', l.grpcStatus])
  pairs.push(['response_flags', l.flags === '' ? '-' : l.flags], ['connection_security_policy', l.security])
  return pairs.map(([k, v]) => `${k}="${escapeLabel(v)}"`).join(',')
}

function escapeLabel(value: string): string {
  return /[\\"\n]/.test(value) ? value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n') : value
}

/** Which service a cluster stands for: its metadata, else its name (`outbound|80|v1|host`). */
export function serviceOf(cluster: RuntimeCluster | undefined, otherwise: IstioService): IstioService {
  if (cluster === undefined) return otherwise
  if (cluster.service !== undefined) return cluster.service
  const [direction, , , host] = cluster.name.split('|')
  if (direction !== 'outbound' || host === undefined || host === '') return cluster.name.includes('|') ? otherwise : { host: cluster.name, name: cluster.name, namespace: 'unknown' }
  const [name, namespace, svc] = host.split('.')
  return svc === 'svc' ? { host, name: name as string, namespace: namespace as string } : { host, name: host, namespace: 'unknown' }
}

/** Istio's endpoint metadata: `name;namespace;canonical-name;canonical-revision;cluster`. */
export function endpointPeer(workload: string): PeerMetadata {
  if (workload === '') return unknownPeer
  const [name, namespace, canonical, revision, cluster] = workload.split(';')
  const or = (v: string | undefined, d: string) => (v === undefined || v === '' ? d : v)
  return { workload: or(name, 'unknown'), namespace: or(namespace, 'unknown'), app: or(canonical, 'unknown'), version: or(revision, 'unknown'), cluster: or(cluster, 'unknown'), canonicalService: or(canonical, 'unknown'), canonicalRevision: or(revision, 'latest') }
}
