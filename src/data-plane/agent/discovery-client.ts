// The sidecar's end of delta ADS: keeps a stream open, hands configuration to the proxy, answers with what the proxy made of it.
import { compile, type RuntimeConfig } from '#engine'
import { credentialNames, type Proxy } from '#proxy'
import { DeltaClientState, trustName, typeUrls, type DeltaRequest, type DeltaResponse, type Resource } from '#xds'
import { AdsStream, type AdsStreamOptions } from './ads-stream.ts'
import { announcedTrust, type AnnouncedTrust } from './trust-change.ts'

export interface DiscoveryClientOptions extends Omit<AdsStreamOptions, 'opening' | 'onResponse'> {
  readonly proxy: Pick<Proxy, 'update'>
  /** The first whole configuration is in the proxy. */
  readonly onConfigured: () => void
  /** The control plane says which roots hold, with its mark, and what was revoked. */
  readonly onTrust?: (announced: AnnouncedTrust) => void
  /** A Secret that a cluster names (`kubernetes://…`), new or changed. */
  readonly onSecret?: (resource: Resource) => void
}

const asked = [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener, typeUrls.route]
/** A configuration that lacks routes or endpoints which were asked for waits this long for them, then goes in as it is. */
const longestHoldMs = 2000

export class DiscoveryClient {
  readonly #options: DiscoveryClientOptions
  readonly #state = new DeltaClientState(asked, new Set([typeUrls.cluster, typeUrls.listener]))
  readonly #trust = new DeltaClientState([typeUrls.secret], new Set())
  readonly #stream: AdsStream
  #hold: NodeJS.Timeout | undefined
  #configured = false

  constructor(options: DiscoveryClientOptions) {
    this.#options = options
    this.#stream = new AdsStream({ ...options, opening: () => [...this.#state.connect(), ...this.#trust.connect()], onResponse: (response) => this.#response(response) })
    if (options.onTrust !== undefined) this.#trust.want(typeUrls.secret, new Set([trustName]))
  }

  start(): void {
    this.#stream.start()
  }

  /** With a new certificate. Nothing is sent again: the new stream says which versions are held. */
  reconnect(): void {
    this.#stream.reconnect()
  }

  stop(): void {
    clearTimeout(this.#hold)
    this.#stream.stop()
  }

  get connected(): boolean {
    return this.#stream.connected
  }

  /**
   * What can't be compiled is refused at once, all of it. What can be goes into the proxy when it is whole: a listener whose routes are
   * still to come, or a cluster whose endpoints are, would answer errors for a moment (Envoy calls this warming).
   */
  #response(response: DeltaResponse): void {
    const { log } = this.#options
    if (response.typeUrl === typeUrls.secret) return this.#secrets(response)
    let compiled: RuntimeConfig | undefined
    const { reply, refused } = this.#state.response(response, (resources) => {
      const { config, errors } = compile(resources)
      if (errors.length === 0) compiled = config
      return errors
    })
    for (const r of refused) log.error({ type: r.type, resource: r.name, reason: r.message }, 'configuration refused, the last good one stays')
    this.#stream.write(reply)
    this.#follow(compiled ?? compile(this.#state.all()).config)
    if (this.#state.complete()) return this.#apply(this.#state.all())
    this.#hold ??= setTimeout(() => {
      log.warn({}, 'routes or endpoints that were asked for have not come, going on without them')
      this.#apply(this.#state.all())
    }, longestHoldMs)
  }

  /** The mesh's roots, and what clusters name; one that is gone stays as it was. */
  #secrets(response: DeltaResponse): void {
    this.#stream.write(this.#trust.response(response, () => []).reply)
    for (const resource of response.resources) {
      if (resource.name === trustName) this.#options.onTrust?.(announcedTrust(resource))
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
  #follow(config: RuntimeConfig): void {
    for (const request of [this.#state.want(typeUrls.endpoint, endpointNames(config)), this.#state.want(typeUrls.route, routeNames(config)), this.#wantSecrets(config)]) if (request !== undefined) this.#stream.write(request)
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
