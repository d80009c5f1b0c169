// What the control plane counts, in one table; Istio's names where Istio has one. What can be read is read when a scraper comes.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { KindStatus } from '#sources'
import type { XdsEvent } from './discovery.ts'

export interface MetricSources {
  readonly proxies: () => number
  readonly objects: () => number
  readonly kinds: () => readonly KindStatus[]
  /** undefined: there is nobody to lead. */
  readonly leads: () => boolean | undefined
  readonly rootEndsMs: () => number
  readonly signerEndsMs: () => number
}

export interface Metrics {
  readonly push: (event: XdsEvent) => void
  readonly csr: (outcome: 'issued' | 'unauthenticated' | 'refused') => void
  readonly converged: (ms: number) => void
}

export function controlPlaneMetrics(registry: Registry, from: MetricSources): Metrics {
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    const made = new Gauge({
      name, help, registers,
      collect() {
        const value = read()
        if (value !== undefined) made.set(value)
      },
    })
  }
  gauge('pilot_xds', 'Proxies that are connected.', from.proxies)
  gauge('pilot_objects', 'Objects that the newest snapshot is made from.', from.objects)
  gauge('pilot_leader', '1 where this control plane leads.', () => (from.leads() === undefined ? undefined : Number(from.leads())))
  gauge('citadel_server_root_cert_expiry_timestamp', 'Unix time at which the first of the trusted roots ends.', () => from.rootEndsMs() / 1000)
  gauge('citadel_server_cert_chain_expiry_timestamp', 'Unix time at which the signing certificate ends.', () => from.signerEndsMs() / 1000)
  const kinds = new Gauge({
    name: 'pilot_k8s_objects', help: 'Objects of each kind that is followed, by how it stands.', labelNames: ['kind', 'state'], registers,
    collect() {
      kinds.reset()
      for (const k of from.kinds()) kinds.set({ kind: k.kind, state: k.state }, k.objects)
    },
  })
  const pushes = new Counter({ name: 'pilot_xds_events_total', help: 'Pushes, ACKs, NACKs, refusals of proxies, and streams that asked for more than can exist (excess).', labelNames: ['event'], registers })
  const issued = new Counter({ name: 'citadel_server_csr_count', help: 'Certificate requests by outcome.', labelNames: ['outcome'], registers })
  const convergence = new Histogram({ name: 'pilot_proxy_convergence_time', help: 'Seconds from when a change was noticed until every proxy was sent what it means.', buckets: [0.01, 0.05, 0.1, 0.5, 1, 3, 5, 10, 30], registers })
  return { push: (event) => pushes.inc({ event }), csr: (outcome) => issued.inc({ outcome }), converged: (ms) => convergence.observe(ms / 1000) }
}
