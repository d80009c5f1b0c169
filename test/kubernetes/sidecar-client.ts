// A sidecar's side of the control plane, without a proxy: asks for a certificate, opens a delta stream, keeps what it is sent.
import 'reflect-metadata'
import { Client, credentials, Metadata, type ClientDuplexStream } from '@grpc/grpc-js'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { KeyObject } from 'node:crypto'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { createCertificateMethod, deltaMethod, typeUrls, type DeltaResponse, type WireRequest } from '#xds'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

export interface Proof {
  readonly key: string
  readonly chain: string
  readonly roots: string
}

export interface Where {
  readonly address: string
  readonly serverName: string
  readonly roots: string
}

const optionsOf = (serverName: string): object => ({ 'grpc.ssl_target_name_override': serverName, 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': 64 * 1024 * 1024, 'grpc.enable_retries': 0 })

/** The root in the Secret `istio-ca-secret`. */
export function rootOf(secret: KubernetesObject | undefined): string {
  const data = (secret?.['data'] ?? {}) as Record<string, string>
  return Buffer.from(data['root-cert.pem'] ?? '', 'base64').toString('utf8')
}

/** Throws what gRPC throws. */
export async function askCertificate({ address, serverName, roots }: Where, token: string): Promise<Proof> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm })).toString('pem')
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token}`)
  const client = new Client(address, credentials.createSsl(Buffer.from(roots)), optionsOf(serverName))
  const m = createCertificateMethod
  try {
    const pems = await new Promise<readonly string[]>((resolve, reject) => void client.makeUnaryRequest(m.path, m.requestSerialize, m.responseDeserialize, { csr, validitySeconds: 0 }, metadata, { deadline: Date.now() + 5000 }, (e, v) => (e === null ? resolve(v ?? []) : reject(e))))
    return { key: KeyObject.from(keys.privateKey as never).export({ type: 'pkcs8', format: 'pem' }) as string, chain: pems.slice(0, -1).join(''), roots: pems.at(-1) ?? '' }
  } finally {
    client.close()
  }
}

/** What a sidecar holds, as it changes. */
export class SidecarClient {
  readonly #client: Client
  readonly #stream: ClientDuplexStream<WireRequest, DeltaResponse>
  readonly #node: { id: string; cluster: string; metadata: object }
  /** type URL → name → version. */
  readonly held = new Map<string, Map<string, string>>()
  ended: Error | undefined
  onResponse: (response: DeltaResponse) => void = () => undefined

  constructor({ address, serverName, roots }: Where, proof: Proof, nodeId: string) {
    this.#client = new Client(address, credentials.createSsl(Buffer.from(roots), Buffer.from(proof.key), Buffer.from(proof.chain)), optionsOf(serverName))
    this.#node = { id: nodeId, cluster: '', metadata: {} }
    this.#stream = this.#client.makeBidiStreamRequest(deltaMethod.path, deltaMethod.requestSerialize, deltaMethod.responseDeserialize)
    this.#stream.on('error', (error: Error) => (this.ended = error))
    this.#stream.on('data', (r: DeltaResponse) => this.#take(r))
    this.#ask(typeUrls.cluster, [])
    this.#ask(typeUrls.listener, [])
  }

  names(typeUrl: string): string[] {
    return [...(this.held.get(typeUrl)?.keys() ?? [])].sort()
  }

  close(): void {
    this.#stream.cancel()
    this.#client.close()
  }

  #ask(typeUrl: string, subscribe: readonly string[], nonce = ''): void {
    this.#stream.write({ typeUrl, subscribe, unsubscribe: [], initialVersions: {}, nonce, node: this.#node } as WireRequest)
  }

  #take(r: DeltaResponse): void {
    const held = this.held.get(r.typeUrl) ?? new Map<string, string>()
    const fresh = r.resources.map((x) => x.name).filter((n) => !held.has(n))
    this.held.set(r.typeUrl, held)
    for (const x of r.resources) held.set(x.name, x.version)
    for (const name of r.removed) held.delete(name)
    this.#ask(r.typeUrl, [], r.nonce)
    const endpoints = r.typeUrl === typeUrls.cluster ? fresh.filter((n) => n.startsWith('outbound|')) : []
    if (endpoints.length > 0) this.#ask(typeUrls.endpoint, endpoints)
    this.onResponse(r)
  }
}
