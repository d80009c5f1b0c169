// What whoever starts the proxy must say, and what they get back. Law: everything that differs between machines comes in here; no environment is read.
import type { CompileInput, CompileProblem } from '#engine'
import type { Logger } from '#lib/log.ts'
import type { ProxySecret } from './secrets.ts'

/** Who this proxy is, for metrics, peer metadata and logs. */
export interface ProxyIdentity {
  /** xDS node id: `sidecar~10.0.0.1~sleep-1.foo~foo.svc.cluster.local` */
  readonly nodeId: string
  readonly pod: string
  readonly namespace: string
  readonly workload: string
  readonly serviceAccount: string
  readonly labels: Readonly<Record<string, string>>
  readonly cluster: string
  readonly trustDomain: string
  readonly addresses: readonly string[]
  /** `kubernetes://apis/apps/v1/namespaces/foo/deployments/sleep`; '' = unknown. */
  readonly owner?: string
}

/** Explicit mode: no kernel redirects; the addresses of the mesh stand for loopback ones. */
export interface DialMap {
  /** `10.244.0.5:80` → `127.0.0.1:21001`. */
  readonly dial: Readonly<Record<string, string>>
  /** `app`: where the application itself listens; absent: what `dial` says, else the original destination. */
  readonly inbound: readonly { readonly listen: string; readonly originalDestination: string; readonly app?: string }[]
  /** Where the application's HTTP proxy listens (absolute-form and CONNECT). */
  readonly httpProxy?: string
  /** Host → virtual IP; names may be short. */
  readonly hosts: Readonly<Record<string, string>>
}

export type Interception = { readonly mode: 'REDIRECT' } | { readonly mode: 'NONE'; readonly dialMap: DialMap }

export interface ProxyPorts {
  /** Default 15001. */
  readonly outbound?: number
  /** Default 15006. */
  readonly inbound?: number
  /** Admin, on loopback; null = off. Default 15000. */
  readonly admin?: number | null
  /** Prometheus text, on every address; null = off. Default 15090. */
  readonly prometheus?: number | null
}

export interface ProxyOptions {
  readonly identity: ProxyIdentity
  readonly interception: Interception
  readonly ports?: ProxyPorts
  /** From the first byte of a request's head, a ClientHello or an HTTP/2 preface to its last; 0 = no limit. Default 60 s. */
  readonly headTimeoutMs?: number
  /** SO_MARK of upstream connections; absent: none. */
  readonly mark?: number
  /** Files that clusters name are looked for below this folder first. */
  readonly fileRoot?: string
  readonly log: Logger
  /** Lines of the access log that goes to /dev/stdout; default: file descriptor 1. */
  readonly accessLog?: (lines: string) => void
  /** Called by POST /quitquitquit on the admin port. */
  readonly onQuit?: () => void
}

export interface ProxyUpdate {
  /** Not empty: NACK; the last good version of each broken resource goes on. */
  readonly errors: readonly CompileProblem[]
  /** Understood but not served: already logged, once each. */
  readonly unserved: readonly CompileProblem[]
}

export interface Proxy {
  /** All resources that the proxy shall hold (LDS, CDS, RDS, EDS); takes effect at once for new connections and requests. */
  update(resources: Iterable<CompileInput>): ProxyUpdate
  /** An SDS secret by its name: `default`, `ROOTCA`. */
  setSecret(name: string, secret: ProxySecret): void
  /** Refuses nothing yet: idle connections close, answers carry `connection: close`; resolves when all are gone or after `timeoutMs`. */
  drain(timeoutMs: number): Promise<void>
  /** Closes everything at once. */
  stop(): Promise<void>
  /** Prometheus text. */
  metrics(): string
  /** True once a configuration stands and every secret that its listeners name has been supplied. */
  ready(): boolean
  /** `byGoneChain`: of the downstream ones, HTTP/2 connections on which requests may still begin under a filter chain that is gone. */
  connections(): { readonly downstream: number; readonly upstream: number; readonly byGoneChain: number }
  /** Where it really listens. */
  readonly ports: { readonly outbound: number; readonly inbound: number; readonly admin: number; readonly prometheus: number; readonly httpProxy: number }
}
