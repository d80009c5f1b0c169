// Two sidecars on loopback with real certificates: the client's (foo/sleep) and the server's (bar/httpbin), told by dial maps what a kernel would tell.
import type { AddressInfo, Server } from 'node:net'
import { startProxy, type Proxy, type ProxyIdentity } from '#proxy'
import type { Logger } from '#lib/log.ts'
import { Secret } from '#lib/secret.ts'
import type { CompileInput } from '#engine'
import { freePort } from '../fixtures/ports.ts'
import { createAuthority, type Authority, type Issued } from './authority.ts'
import { inboundResources, outboundResources, type InboundSpec, type Mode, type OutboundSpec } from './resources.ts'

export const host = 'httpbin.bar.svc.cluster.local'
export const vip = '10.96.0.7'
export const podIp = '10.244.0.5'
export const serverId = 'spiffe://cluster.local/ns/bar/sa/httpbin'
export const clientId = 'spiffe://cluster.local/ns/foo/sa/sleep'

export function identity(workload: string, namespace: string): ProxyIdentity {
  return {
    nodeId: `sidecar~10.244.0.1~${workload}-1.${namespace}~${namespace}.svc.cluster.local`,
    pod: `${workload}-1`,
    namespace,
    workload,
    serviceAccount: workload,
    labels: { app: workload, version: 'v1' },
    cluster: 'Kubernetes',
    trustDomain: 'cluster.local',
    addresses: ['10.244.0.1'],
  }
}

/** A log that keeps its lines. */
export function recordingLog(): Logger & { readonly lines: { readonly level: string; readonly message: string; readonly fields: Record<string, unknown> }[] } {
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = []
  const at = (level: string) => (fields: object, message: string) => void lines.push({ level, message, fields: fields as Record<string, unknown> })
  const log = { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
  return log
}

export interface PairOptions {
  readonly mode?: Mode
  /** Port of the pod, target port of the service; what kind it is. */
  readonly inbound?: readonly InboundSpec[]
  /** Where the application listens. */
  readonly appPort: number
  readonly outbound?: (spec: OutboundSpec) => readonly OutboundSpec[]
  readonly authority?: Authority
  readonly serverNames?: readonly { readonly type: 'url' | 'dns'; readonly value: string }[]
  readonly lifetimeMs?: number
  readonly log?: Logger
  /** Of the server's sidecar and the client's. */
  readonly headTimeoutMs?: number
  /** Of the client's sidecar; none where absent. */
  readonly adminPort?: number
}

export interface Pair {
  readonly client: Proxy
  readonly server: Proxy
  /** The application's HTTP proxy of the client's sidecar. */
  readonly proxyPort: number
  /** Where the server's sidecar listens for the pod's first port. */
  readonly inboundPort: number
  readonly inboundPorts: readonly number[]
  readonly authority: Authority
  readonly clientLog: string[]
  readonly serverLog: string[]
  readonly log: ReturnType<typeof recordingLog>
  /** Certificates by hand. */
  readonly issued: { readonly client: Issued }
  stop(): Promise<void>
}

export interface SideOptions {
  readonly cert: Issued
  /** PEM. */
  readonly root: string
  readonly log: Logger
  readonly accessLog?: (lines: string) => void
  readonly headTimeoutMs?: number
}

export interface InboundEntry {
  readonly listen: string
  readonly originalDestination: string
  readonly app: string
}

/** The server's sidecar. */
export async function startServerSide(options: SideOptions & { readonly inbound: readonly InboundSpec[]; readonly entries: readonly InboundEntry[]; readonly passthrough: Mode }): Promise<Proxy> {
  const proxy = await startProxy({
    identity: identity('httpbin', 'bar'),
    interception: { mode: 'NONE', dialMap: { dial: {}, inbound: options.entries, hosts: {} } },
    ports: { admin: null, prometheus: null },
    log: options.log,
    accessLog: options.accessLog ?? (() => {}),
    ...(options.headTimeoutMs === undefined ? {} : { headTimeoutMs: options.headTimeoutMs }),
  })
  return configure(proxy, inboundResources(options.inbound, options.passthrough), options)
}

/** The client's sidecar. */
export async function startClientSide(options: SideOptions & { readonly services: readonly OutboundSpec[]; readonly dial: Readonly<Record<string, string>>; readonly proxyPort: number; readonly adminPort?: number }): Promise<Proxy> {
  const proxy = await startProxy({
    identity: identity('sleep', 'foo'),
    interception: { mode: 'NONE', dialMap: { dial: options.dial, inbound: [], httpProxy: `127.0.0.1:${options.proxyPort}`, hosts: { 'httpbin.bar': vip, [host]: vip, outside: '127.0.0.1' } } },
    ports: { admin: options.adminPort ?? null, prometheus: null },
    log: options.log,
    accessLog: options.accessLog ?? (() => {}),
    ...(options.headTimeoutMs === undefined ? {} : { headTimeoutMs: options.headTimeoutMs }),
  })
  return configure(proxy, outboundResources(options.services), options)
}

function configure(proxy: Proxy, resources: readonly CompileInput[], options: SideOptions): Proxy {
  const { errors } = proxy.update(resources)
  if (errors.length > 0) throw new Error(errors.map((e) => `${e.name}: ${e.message}`).join('\n'))
  proxy.setSecret('default', { kind: 'certificate', chain: options.cert.chain, key: new Secret(options.cert.key) })
  proxy.setSecret('ROOTCA', { kind: 'trust', roots: options.root })
  return proxy
}

export function baseService(inbound: readonly InboundSpec[]): OutboundSpec {
  return { port: 8000, kind: 'http', vip, host, sans: [serverId], endpoints: [{ ip: podIp, port: inbound[0]?.port ?? 80, mtls: true }] }
}

export async function entriesFor(inbound: readonly InboundSpec[], appPort: number): Promise<InboundEntry[]> {
  return Promise.all(inbound.map(async (p) => ({ listen: `127.0.0.1:${await freePort()}`, originalDestination: `${podIp}:${p.port}`, app: `127.0.0.1:${appPort}` })))
}

export async function startPair(options: PairOptions): Promise<Pair> {
  const authority = options.authority ?? (await createAuthority())
  const [serverCert, clientCert] = await Promise.all([
    authority.issue(options.serverNames ?? [{ type: 'url', value: serverId }], options.lifetimeMs),
    authority.issue([{ type: 'url', value: clientId }], options.lifetimeMs),
  ])
  const inbound = options.inbound ?? [{ port: 80, kind: 'http', mode: options.mode ?? 'STRICT' }]
  const log = recordingLog()
  const clientLog: string[] = []
  const serverLog: string[] = []
  const entries = await entriesFor(inbound, options.appPort)
  const keep = (to: string[]) => (lines: string) => void to.push(...lines.trimEnd().split('\n'))
  const { root } = authority
  const more = options.headTimeoutMs === undefined ? {} : { headTimeoutMs: options.headTimeoutMs }
  const server = await startServerSide({ cert: serverCert, root, log: options.log ?? log, accessLog: keep(serverLog), inbound, entries, passthrough: options.mode ?? 'STRICT', ...more })
  const proxyPort = await freePort()
  const base = baseService(inbound)
  const dial = Object.fromEntries(entries.map((e) => [e.originalDestination, e.listen]))
  const client = await startClientSide({ cert: clientCert, root, log: options.log ?? log, accessLog: keep(clientLog), services: options.outbound?.(base) ?? [base], dial, proxyPort, ...(options.adminPort === undefined ? {} : { adminPort: options.adminPort }), ...more })
  return {
    client,
    server,
    proxyPort,
    inboundPort: Number(entries[0]?.listen.split(':')[1]),
    inboundPorts: entries.map((e) => Number(e.listen.split(':')[1])),
    authority,
    clientLog,
    serverLog,
    log,
    issued: { client: clientCert },
    async stop() {
      await Promise.all([client.stop(), server.stop()])
    },
  }
}

/** Listens on a free loopback port. */
export async function listenOn(server: Server): Promise<number> {
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}
