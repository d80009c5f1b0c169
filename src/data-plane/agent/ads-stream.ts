// A delta ADS stream to the control plane that comes back by itself. Law: it shows the newest certificate, and trusts the newest roots, each time it is opened.
import { Client, credentials, type ClientDuplexStream } from '@grpc/grpc-js'
import type { Logger } from '#lib/log.ts'
import { deltaMethod, type DeltaResponse, type WireRequest, type XdsNode } from '#xds'
import type { WorkloadCertificate } from './rotation.ts'

export interface AdsStreamOptions {
  readonly address: string
  readonly serverName: string
  readonly node: XdsNode
  /** `roots`: by which the control plane is known. */
  readonly certificate: () => Pick<WorkloadCertificate, 'roots' | 'key' | 'chain'>
  /** What is asked for at the beginning; what is held is not sent again. */
  readonly opening: () => readonly WireRequest[]
  readonly onResponse: (response: DeltaResponse) => void
  readonly log: Logger
  readonly pick: () => number
  /** Default 5 s. */
  readonly connectMs?: number
}

const firstRetryMs = 50
const longestRetryMs = 5000
/** A control plane that ends may leave a connection that nobody answers, and nobody refuses either: its address goes to no machine any more. */
const longestConnectMs = 5000

export class AdsStream {
  readonly #options: AdsStreamOptions
  #client: Client | undefined
  #stream: ClientDuplexStream<WireRequest, DeltaResponse> | undefined
  #timer: NodeJS.Timeout | undefined
  #retryMs = firstRetryMs
  #stopped = false

  constructor(options: AdsStreamOptions) {
    this.#options = options
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
    this.#stream?.on('error', () => undefined)
    this.#stream?.cancel()
    this.#client?.close()
  }

  get connected(): boolean {
    return this.#stream !== undefined
  }

  write(request: WireRequest): void {
    this.#stream?.write(request)
  }

  #connect(): void {
    if (this.#stopped) return
    const { address, serverName, certificate, node, log, opening } = this.#options
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
    stream.on('data', (response: DeltaResponse) => {
      if (stream !== this.#stream) return
      this.#retryMs = firstRetryMs
      this.#options.onResponse(response)
    })
    stream.on('end', () => this.#lost(stream, 'the control plane ended the stream'))
    stream.on('error', (error: Error) => this.#lost(stream, error.message))
    opening().forEach((request, i) => stream.write(i === 0 ? { ...request, node } : request))
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
}
