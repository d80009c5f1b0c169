// The sidecar's end of delta ADS: keeps a stream open, hands configuration to the proxy, answers with what the proxy made of it.
import { Client, credentials, type ClientDuplexStream } from '@grpc/grpc-js'
import { compile, type RuntimeConfig } from '#engine'
import type { Logger } from '#lib/log.ts'
import { credentialNames, type Proxy } from '#proxy'
import { DeltaClientState, deltaMethod, trustName, typeUrls, type DeltaRequest, type DeltaResponse, type Resource, type WireRequest, type XdsNode } from '#xds'
import type { WorkloadCertificate } from './rotation.ts'
import { rootsOf } from './trust-change.ts'

export interface DiscoveryClientOptions {
  readonly address: string
  readonly serverName: string
  readonly node: XdsNode
  readonly certificate: () => WorkloadCertificate
  readonly proxy: Pick<Proxy, 'update'>
  /** The first whole configuration is in the proxy. */
  readonly onConfigured: () => void
  /** The control plane says which roots hold, with its mark. */
  readonly onTrust?: (announced: string) => void
  /** A Secret that a cluster names (`kubernetes://…`), new or changed. */
  readonly onSecret?: (resource: Resource) => void
  readonly log: Logger
  readonly pick: () => number
  /** Default 5 s. */
  readonly connectMs?: number
}

const asked = [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener, typeUrls.route]
const firstRetryMs = 50
const longestRetryMs = 5000
/** A control plane that ends may leave a connection that nobody answers, and nobody refuses either: its address goes to no machine any more. */
const longestConnectMs = 5000
/** A configuration that lacks routes or endpoints which were asked for waits this long for them, then goes in as it is. */
const longestHoldMs = 2000

export class DiscoveryClient {
  readonly #options: DiscoveryClientOptions
  readonly #state = new DeltaClientState(asked, new Set([typeUrls.cluster, typeUrls.listener]))
  readonly #trust = new DeltaClientState([typeUrls.secret], new Set())
  #client: Client | undefined
  #stream: ClientDuplexStream<WireRequest, DeltaResponse> | undefined
  #timer: NodeJS.Timeout | undefined
  #retryMs = firstRetryMs
  #hold: NodeJS.Timeout | undefined
  #configured = false
  #stopped = false

  constructor(options: DiscoveryClientOptions) {
    this.#options = options
    if (options.onTrust !== undefined) this.#trust.want(typeUrls.secret, new Set([trustName]))
  }

  start(): void {
    this.#connect()
  }

  /** With a new certificate. Nothing is sent again: the new stream says which versions are held. */
  reconnect(): void {
    const old = this.#stream
    const oldClient = this.#client
    if (old === undefined) return
    this.#stream = undefined
    this.#connect()
    old.cancel()
    oldClient?.close()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    clearTimeout(this.#hold)
    this.#stream?.on('error', () => undefined)
    this.#stream?.cancel()
    this.#client?.close()
  }

  get connected(): boolean {
    return this.#stream !== undefined
  }

  #connect(): void {
    if (this.#stopped) return
    const { address, serverName, certificate, node, log } = this.#options
    const { roots, key, chain } = certificate()
    const secure = credentials.createSsl(Buffer.from(roots), Buffer.from(key.reveal()), Buffer.from(chain))
    const client = new Client(address, secure, { 'grpc.ssl_target_name_override': serverName, 'grpc.keepalive_time_ms': 30_000, 'grpc.keepalive_timeout_ms': 10_000, 'grpc.max_receive_message_length': 64 * 1024 * 1024, 'grpc.use_local_subchannel_pool': 1, 'grpc.initial_reconnect_backoff_ms': firstRetryMs })
    const stream = client.makeBidiStreamRequest(deltaMethod.path, deltaMethod.requestSerialize, deltaMethod.responseDeserialize)
    this.#client = client
    this.#stream = stream
    const connectMs = this.#options.connectMs ?? longestConnectMs
    client.waitForReady(Date.now() + connectMs, (error) => {
      if (error === undefined || stream !== this.#stream) return
      this.#lost(stream, `no connection within ${connectMs / 1000} s`)
      stream.cancel()
    })
    stream.on('data', (response: DeltaResponse) => this.#response(stream, response))
    stream.on('end', () => this.#lost(stream, 'the control plane ended the stream'))
    stream.on('error', (error: Error) => this.#lost(stream, error.message))
    ;[...this.#state.connect(), ...this.#trust.connect()].forEach((request, i) => stream.write(i === 0 ? { ...request, node } : request))
    log.debug({ address }, 'discovery stream opened')
  }

  #lost(stream: ClientDuplexStream<WireRequest, DeltaResponse>, reason: string): void {
    if (stream !== this.#stream) return
    this.#stream = undefined
    this.#client?.close()
    if (this.#stopped) return
    const wait = this.#retryMs * (0.8 + 0.4 * this.#options.pick())
    this.#retryMs = Math.min(this.#retryMs * 2, longestRetryMs)
    this.#options.log.warn({ reason, retryMs: Math.round(wait) }, 'control plane lost, the last configuration goes on')
    this.#timer = setTimeout(() => this.#connect(), wait)
  }

  /**
   * What can't be compiled is refused at once, all of it. What can be goes into the proxy when it is whole: a listener whose routes are
   * still to come, or a cluster whose endpoints are, would answer errors for a moment (Envoy calls this warming).
   */
  #response(stream: ClientDuplexStream<WireRequest, DeltaResponse>, response: DeltaResponse): void {
    if (stream !== this.#stream) return
    const { log } = this.#options
    this.#retryMs = firstRetryMs
    if (response.typeUrl === typeUrls.secret) return this.#secrets(stream, response)
    let compiled: RuntimeConfig | undefined
    const { reply, refused } = this.#state.response(response, (resources) => {
      const { config, errors } = compile(resources)
      if (errors.length === 0) compiled = config
      return errors
    })
    for (const r of refused) log.error({ type: r.type, resource: r.name, reason: r.message }, 'configuration refused, the last good one stays')
    stream.write(reply)
    this.#follow(stream, compiled ?? compile(this.#state.all()).config)
    if (this.#state.complete()) return this.#apply(this.#state.all())
    this.#hold ??= setTimeout(() => {
      log.warn({}, 'routes or endpoints that were asked for have not come, going on without them')
      this.#apply(this.#state.all())
    }, longestHoldMs)
  }

  /** The mesh's roots, and what clusters name; one that is gone stays as it was. */
  #secrets(stream: ClientDuplexStream<WireRequest, DeltaResponse>, response: DeltaResponse): void {
    stream.write(this.#trust.response(response, () => []).reply)
    for (const resource of response.resources) {
      if (resource.name === trustName) this.#options.onTrust?.(rootsOf(resource))
      else this.#options.onSecret?.(resource)
    }
  }

  #apply(resources: readonly Resource[]): void {
    clearTimeout(this.#hold)
    this.#hold = undefined
    this.#options.proxy.update(resources)
    if (this.#configured || this.#state.of(typeUrls.listener).size === 0 || this.#state.of(typeUrls.cluster).size === 0) return
    this.#configured = true
    this.#options.onConfigured()
  }

  #wantSecrets(config: RuntimeConfig): DeltaRequest | undefined {
    const { onTrust, onSecret } = this.#options
    const named = onSecret === undefined ? [] : credentialNames(config)
    return this.#trust.want(typeUrls.secret, new Set([...(onTrust === undefined ? [] : [trustName]), ...named]))
  }

  /** Endpoints and routes are asked for by the names that clusters and listeners give. */
  #follow(stream: ClientDuplexStream<WireRequest, DeltaResponse>, config: RuntimeConfig): void {
    for (const request of [this.#state.want(typeUrls.endpoint, endpointNames(config)), this.#state.want(typeUrls.route, routeNames(config)), this.#wantSecrets(config)]) if (request !== undefined) stream.write(request)
  }
}

function endpointNames(config: RuntimeConfig): Set<string> {
  return new Set([...config.clusters.values()].filter((c) => c.discovery === 'EDS').map((c) => c.edsName))
}

function routeNames(config: RuntimeConfig): Set<string> {
  const names = new Set<string>()
  for (const listener of config.listeners.values()) {
    const chains = [...listener.chains.map((c) => c.chain), ...(listener.defaultChain === undefined ? [] : [listener.defaultChain])]
    for (const { terminal } of chains) if ('routes' in terminal && 'rds' in terminal.routes && terminal.routes.rds !== '') names.add(terminal.routes.rds)
  }
  return names
}
