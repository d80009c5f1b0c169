// The answer of `kith explain`, as docs/schema/explain.json describes it.
import type { Decided, Reason } from '#lib/decided.ts'
import type { Problem, Ref } from '#lib/problem.ts'
import type { MtlsMode } from '#plan'
import type { End } from './end-facts.ts'

export interface Call {
  /** `sleep.foo`, `deploy/sleep.foo`, `pod/sleep-7d4-x.foo` */
  readonly from: string
  /** `http://httpbin.bar:8000/get`, `tcp://…`, `https://…`, `grpc://…`, or `address:port` */
  readonly to: string
  /** Default GET, of gRPC POST. */
  readonly method?: string
  /** Several values: as many lines. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  /** When; absent: a token's times are not looked at. */
  readonly nowMs?: number
}

export type Outcome = 'mtls' | 'tls' | 'plaintext' | 'blocked' | 'mixed'
export type WireTls = 'ISTIO_MUTUAL' | 'MUTUAL' | 'SIMPLE' | 'DISABLE'

export interface Blocked {
  /** The kind of end, a stable id: `plaintext-to-strict`. docs/explain.md lists them. */
  readonly end: End
  readonly at: 'client' | 'server'
  /** One sentence. */
  readonly why: string
  /** What the caller sees. */
  readonly symptom: string
  readonly source: Ref | 'default'
  /** Never empty. */
  readonly fix: readonly string[]
  /** Rules that had no say, and by which the call would go through. */
  readonly instead: readonly NotApplied[]
}

export interface RouteTaken {
  readonly rule: string
  /** As the server reads them, where the route rewrites them. */
  readonly path?: string
  readonly authority?: string
  /** What the caller's sidecar does on purpose, to so many of the calls. */
  readonly fault?: { readonly delay?: { readonly ms: number; readonly percent: number }; readonly abort?: { readonly status: string; readonly percent: number } }
}

export interface ClientSide {
  readonly workload: string
  readonly sidecar: Decided<boolean>
  /** Whether the pod's rules lead this call to its sidecar; null: it has none. */
  readonly redirected: Decided<boolean> | null
  /** Shown to the server; null where no sidecar of the caller's takes part. */
  readonly identity: string | null
  readonly route: Decided<RouteTaken>
  readonly destination: { readonly host: string; readonly port: number; readonly subset: string | null } | null
  readonly tls: Decided<WireTls> | null
}

export interface ServerSide {
  readonly workload: string
  readonly sidecar: Decided<boolean>
  /** Whether the pod's rules lead this call to its sidecar; null: it has none. */
  readonly redirected: Decided<boolean> | null
  readonly identity: string | null
  /** Container port. */
  readonly port: number
  readonly mtls: Decided<MtlsMode> | null
  readonly authorization: Decided<'allow' | 'deny'> | null
  /** `issuer/subject` of the request's token, where a RequestAuthentication verifies it and it holds. */
  readonly requestPrincipal: string | null
}

/** What happens at one endpoint; where endpoints or weighted routes differ, each is told whole. */
export interface EndpointAnswer {
  readonly address: string
  /** The route's. */
  readonly weight: number
  /** Of all calls like this one, 0 to 1; 0: it stands by for those of a better priority. */
  readonly share: number
  readonly priority: number
  /** `region/zone/subzone`; '' = none. */
  readonly locality: string
  readonly outcome: Exclude<Outcome, 'mixed'>
  readonly client: ClientSide
  readonly server: ServerSide | null
  readonly blocked: Blocked | null
  /** What this rests on and the mesh can't know; null: nothing. */
  readonly provided: string | null
  /** What may not be as it was meant, though it is no end. */
  readonly hints: readonly string[]
}

/** `workload`: null outside the mesh. */
export interface Spread extends Pick<EndpointAnswer, 'address' | 'share' | 'priority' | 'locality' | 'outcome'> {
  readonly workload: string | null
}

export interface Explanation {
  readonly call: { readonly from: string; readonly to: string }
  readonly outcome: Outcome
  readonly client: ClientSide
  readonly server: ServerSide | null
  readonly blocked: Blocked | null
  readonly provided: string | null
  /** Of all endpoints, each once. */
  readonly hints: readonly string[]
  readonly endpoints: readonly EndpointAnswer[]
  /** Every endpoint that may be chosen, the likeliest first, then those that stand by. */
  readonly spread: readonly Spread[]
  /** The last handshake seen between the two, where the mesh runs. */
  readonly observed: Observed | null
  /** Why `observed` is null; null: it isn't, or nobody has asked. */
  readonly notObserved: string | null
  readonly problems: readonly Problem[]
}

/** A rule for the call's host or server that had no say. */
export interface NotApplied {
  readonly source: Ref
  /** `path "/headers" does not begin with "/anything"` */
  readonly why: string
}

export interface Observed {
  /** RFC 3339, as the other times. */
  readonly time: string
  /** `TLSv1.3` */
  readonly tlsVersion: string
  readonly cipher: string
  /** SPIFFE ids, as the certificates proved them. */
  readonly client: string
  readonly server: string
  readonly clientCertificateEnds: string
  readonly serverCertificateEnds: string
}

export type { Decided, Reason, Ref }
