// What is known of each way in which a call ends: the data that its words are made of.
import type { Ref } from '#lib/problem.ts'

export type Source = Ref | 'default'

/** What is known of each end. `source`: the object and field to look at. */
export interface Ends {
  // Where the caller's way ends.
  'registry-only': {
    readonly host: string
    readonly port: number
    readonly meant: string
    readonly source: Source
  }
  'left-out-by-sidecar': {
    readonly host: string
    readonly port: number
    readonly add: string
    readonly policy: string
    readonly source: Ref
  }
  'not-exported': {
    readonly host: string
    readonly namespace: string
    readonly to: string
    readonly source: Source
  }
  'unknown-host-header': {
    readonly authority: string
    readonly port: number
    readonly host: string
    readonly source: Source
  }
  'no-such-port': {
    readonly host: string
    readonly port: number
    readonly has: readonly string[]
    readonly source: Source
  }
  'other-transport': {
    readonly host: string
    readonly port: number
    readonly has: 'TCP' | 'UDP'
    readonly called: 'TCP' | 'UDP'
    readonly source: Source
  }
  'no-pod-selected': {
    readonly host: string
    readonly selector: string
    readonly near: string | null
    readonly source: Source
  }
  'no-pod-ready': {
    readonly host: string
    readonly port: number
    readonly pods: readonly string[]
    readonly source: Source
  }
  'no-target-port': {
    readonly host: string
    readonly port: number
    readonly targetPort: string
    readonly pods: readonly string[]
    readonly source: Source
  }
  'scaled-to-zero': { readonly host: string; readonly workload: string; readonly source: Source }
  'no-selector': { readonly host: string; readonly port: number; readonly source: Source }
  'subset-without-pods': {
    readonly host: string
    readonly subset: string
    readonly labels: string
    readonly near: string | null
    readonly source: Source
  }
  'entry-without-endpoints': { readonly host: string; readonly port: number; readonly source: Source }
  'unknown-route-host': {
    readonly host: string
    readonly port: string
    readonly why: string
    readonly fix: string
    readonly source: Source
  }
  'unknown-route-port': {
    readonly host: string
    readonly port: string
    readonly has: readonly string[]
    readonly source: Source
  }
  'unknown-subset': {
    readonly host: string
    readonly subset: string
    readonly defined: readonly string[]
    readonly source: Source
  }
  'route-without-destination': { readonly source: Source }
  'no-route-matches': {
    readonly failed: readonly { readonly rule: string; readonly why: string }[]
    readonly source: Source
  }
  'answered-by-route': {
    readonly status: number
    readonly location: string | undefined
    readonly source: Source
  }
  'aborted-by-route': { readonly status: string; readonly source: Source }
  'tls-to-http-port': {
    readonly port: number
    readonly name: string
    readonly originates: string | null
    readonly source: Source
  }
  'costly-expression': { readonly where: string; readonly source: Source }
  'unreadable-path': { readonly path: string; readonly where: string; readonly source: Source }
  'refused-method': { readonly method: string; readonly source: Source }
  // What the two ends make of each other's TLS.
  'tls-in-tls': {
    readonly host: string
    readonly port: number
    readonly mode: string
    readonly http: string | null
    readonly source: Source
  }
  'mesh-tls-without-sidecar': {
    readonly server: string
    readonly bare: string
    readonly by: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'unexpected-identity': {
    readonly server: string
    readonly expected: string
    readonly presented: string
    readonly source: Source
  }
  'plaintext-to-strict': {
    readonly where: string
    readonly because: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'foreign-tls-to-strict': {
    readonly where: string
    readonly mode: string
    readonly who: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'mesh-tls-to-plaintext': {
    readonly where: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'foreign-tls-to-http': {
    readonly where: string
    readonly who: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'other-trust-domain': { readonly where: string; readonly identity: string; readonly source: Source }
  'plaintext-to-own-tls': { readonly where: string; readonly certificate: string; readonly source: Source }
  'mesh-tls-to-own-tls': {
    readonly where: string
    readonly certificate: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  'no-client-certificate': {
    readonly where: string
    readonly certificate: string
    readonly fix: readonly string[]
    readonly source: Source
  }
  // What the server's policies say.
  'token-refused': {
    readonly server: string
    readonly rules: string
    readonly message: string
    readonly fix: string
    readonly source: Source
  }
  'denied-by-rule': { readonly where: string; readonly source: Source }
  'allowed-by-none': {
    readonly where: string
    readonly caller: string
    readonly failed: readonly { readonly rule: string; readonly why: string; readonly fix: string }[]
    readonly source: Source
  }
}

export type End = keyof Ends
