// Aggregated discovery: who is connected, what each has, and the pushes.
// Law: a proxy gets its own configuration and no other's: the node id must be a pod of the account that its certificate proves.
import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { X509Certificate } from 'node:crypto'
import type { Logger } from '#lib/log.ts'
import { verifyPeer, type VerifiedPeer } from '#identity'
import type { Workload } from '#mesh'
import { DeltaServerState, pushOrder, typeUrls, type DeltaResponse, type WireRequest } from '#xds'
import { proxyConfig, type ProxyConfig } from './proxy-config.ts'
import type { Snapshot } from './snapshot.ts'

type Stream = ServerDuplexStream<WireRequest, DeltaResponse>

export interface DiscoveryOptions {
  readonly trustDomains: readonly string[]
  readonly now: () => number
  readonly log: Logger
  readonly count: (event: 'push' | 'ack' | 'nack' | 'refused') => void
}

interface Connection {
  readonly stream: Stream
  readonly peer: VerifiedPeer
  readonly state: DeltaServerState
  id: string
  config: ProxyConfig | undefined
  lastError: string
}

export interface ProxyStatus {
  readonly proxy: string
  readonly identity: string
  readonly snapshot: number
  readonly settled: boolean
  readonly lastError: string
  readonly types: readonly { readonly typeUrl: string; readonly pending: boolean; readonly resources: number }[]
}

const wildcardTypes = new Set<string>([typeUrls.cluster, typeUrls.listener])

export class Discovery {
  readonly #options: DiscoveryOptions
  readonly #connections = new Set<Connection>()
  #snapshot: Snapshot | undefined

  constructor(options: DiscoveryOptions) {
    this.#options = options
  }

  /** The handler of DeltaAggregatedResources. */
  handle = (stream: Stream): void => {
    const { log, count } = this.#options
    const peer = this.#peerOf(stream)
    if ('refused' in peer) {
      count('refused')
      log.warn({ peer: stream.getPeer(), reason: peer.refused }, 'proxy refused')
      stream.emit('error', { code: status.UNAUTHENTICATED, details: peer.refused })
      return
    }
    const connection: Connection = { stream, peer: peer.peer, state: new DeltaServerState(wildcardTypes), id: '', config: undefined, lastError: '' }
    this.#connections.add(connection)
    stream.on('data', (request: WireRequest) => this.#request(connection, request))
    stream.on('error', () => this.#connections.delete(connection))
    stream.on('end', () => {
      this.#connections.delete(connection)
      stream.end()
    })
    stream.on('cancelled', () => {
      if (this.#connections.delete(connection)) log.info({ proxy: connection.id }, 'proxy disconnected')
    })
  }

  /** A new snapshot reaches every proxy; one whose configuration did not change hears nothing. */
  publish(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    for (const connection of this.#connections) {
      if (connection.id === '') continue
      const workload = this.#workloadOf(connection)
      if (workload === undefined) continue
      const config = proxyConfig(snapshot, workload)
      connection.config = config
      this.#pushAll(connection, config, snapshot.changed)
    }
  }

  status(): ProxyStatus[] {
    return [...this.#connections].filter((c) => c.id !== '').map((c) => ({ proxy: c.id, identity: c.peer.uri, snapshot: c.config?.snapshot.number ?? 0, settled: c.state.settled(), lastError: c.lastError, types: c.state.status() }))
  }

  #peerOf(stream: Stream): ReturnType<typeof verifyPeer> {
    const raw = stream.getAuthContext().sslPeerCertificate?.raw
    if (raw === undefined) return { refused: 'a certificate of the mesh is needed' }
    return verifyPeer(new X509Certificate(raw), { trustDomains: this.#options.trustDomains, nowMs: this.#options.now() })
  }

  #request(connection: Connection, request: WireRequest): void {
    const { log, count } = this.#options
    if (connection.id === '') {
      const refusal = this.#identify(connection, request)
      if (refusal !== undefined) {
        count('refused')
        log.warn({ node: request.node?.id ?? '', identity: connection.peer.uri, reason: refusal.details }, 'proxy refused')
        connection.stream.emit('error', refusal)
        return
      }
    }
    const feedback = connection.state.request(request)
    if (feedback?.kind === 'nack') {
      connection.lastError = feedback.error ?? ''
      count('nack')
      log.error({ proxy: connection.id, type: short(feedback.typeUrl), reason: feedback.error }, 'proxy refused configuration, its last good one stays')
    } else if (feedback?.kind === 'ack') count('ack')
    if (connection.config !== undefined) this.#push(connection, connection.config, request.typeUrl)
  }

  /** Binds the stream to a pod. A pod that is not known yet may come: UNAVAILABLE asks the agent to try again. */
  #identify(connection: Connection, request: WireRequest): { code: status; details: string } | undefined {
    const [kind, , id, domain] = (request.node?.id ?? '').split('~')
    if (kind !== 'sidecar' || id === undefined || domain === undefined) return { code: status.INVALID_ARGUMENT, details: 'the node id must be sidecar~ip~pod.namespace~domain' }
    const snapshot = this.#snapshot
    connection.id = id
    const workload = snapshot?.workloadById.get(id)
    if (snapshot === undefined || workload === undefined) {
      connection.id = ''
      return { code: status.UNAVAILABLE, details: `the pod ${id} is not known` }
    }
    const { namespace, serviceAccount } = connection.peer.id
    if (workload.namespace !== namespace || workload.serviceAccount !== serviceAccount) {
      connection.id = ''
      return { code: status.PERMISSION_DENIED, details: `the pod ${id} does not run as ${connection.peer.uri}` }
    }
    connection.config = proxyConfig(snapshot, workload)
    this.#options.log.info({ proxy: id, identity: connection.peer.uri }, 'proxy connected')
    return undefined
  }

  #workloadOf(connection: Connection): Workload | undefined {
    return this.#snapshot?.workloadById.get(connection.id)
  }

  #pushAll(connection: Connection, config: ProxyConfig, because: readonly string[]): void {
    const sent = pushOrder.flatMap((type) => this.#push(connection, config, type))
    if (sent.length > 0) this.#options.log.info({ proxy: connection.id, resources: sent.slice(0, 12), more: Math.max(0, sent.length - 12), because: because.slice(0, 8) }, 'configuration pushed')
  }

  #push(connection: Connection, config: ProxyConfig, typeUrl: string): string[] {
    const wanted = connection.state.wanted(typeUrl)
    if (wanted === null) return []
    const response = connection.state.push(typeUrl, config.of(typeUrl, wanted))
    if (response === undefined) return []
    this.#options.count('push')
    connection.stream.write(response)
    return [...response.resources.map((r) => `${short(typeUrl)} ${r.name}`), ...response.removed.map((n) => `${short(typeUrl)} ${n} (removed)`)]
  }
}

function short(typeUrl: string): string {
  return typeUrl.slice(typeUrl.lastIndexOf('.') + 1)
}
