// Why the client sends what it sends, and what to change so that it sends something else. Law: a row a rule;
// a rule without one is a bug of ours.
import type { Decided, Reason } from '#lib/decided.ts'
import { invariant } from '#lib/errors.ts'
import { formatRef } from '#lib/problem.ts'
import type { Source } from './ends.ts'
import type { WireTls } from './types.ts'

export interface ClientTls {
  /** `the caller has no sidecar` */
  readonly because: string
  /** `to`: what the client is to send. */
  fix(to: 'ISTIO_MUTUAL' | 'DISABLE'): string[]
}

interface Facts {
  readonly tls: Decided<WireTls>
  readonly source: Source
  readonly second: Reason | undefined
  /** How the caller's sidecar comes to take part. */
  readonly joins: string
  /** Why the caller's sidecar does not know the destination. */
  readonly unknown: { readonly why: string; readonly fix: string }
}

type Row = (f: Facts) => {
  readonly because: string
  readonly fix: (to: 'ISTIO_MUTUAL' | 'DISABLE') => string[]
}

const said = (s: Source | undefined): string =>
  s === undefined || s === 'default' ? 'the mesh’s default' : formatRef(s)
const byRule: Row = ({ tls, source }) => ({
  because: `${said(source)} says ${tls.value}`,
  fix: (to) => [`change ${said(source)}: remove it (mutual TLS is automatic) or write ${to}`],
})
const addRule = (to: string): string => `add a DestinationRule with tls mode ${to} for this host`
/** Automatic mutual TLS goes by what the endpoint takes. */
const byEndpoint: Row = ({ second }) => {
  switch (second?.rule) {
    case 'endpoint.not-redirected':
      return {
        because: `the endpoint keeps the port from its sidecar (${said(second.source)})`,
        fix: () => [
          second.source === 'default'
            ? 'call another port: this one is the sidecar’s own'
            : `take the port out of ${said(second.source)}`,
        ],
      }
    case 'endpoint.disable':
      return {
        because: `${said(second.source)} says DISABLE for the endpoint`,
        fix: () => [`change ${said(second.source)} to PERMISSIVE or STRICT`],
      }
    case 'endpoint.no-sidecar':
      return {
        because: 'the endpoint is not marked as taking mutual TLS',
        fix: (to) => [
          'give the endpoint a sidecar, and remove a label security.istio.io/tlsMode that says otherwise',
          addRule(to),
        ],
      }
    default:
      return { because: 'automatic mutual TLS: the endpoint is known to take it', fix: (to) => [addRule(to)] }
  }
}
const unknown: Row = ({ unknown: u }) => ({ because: u.why, fix: () => [u.fix] })

const rows: Readonly<Record<string, Row>> = {
  'tls.no-sidecar': ({ joins }) => ({ because: 'the caller has no sidecar', fix: () => [joins] }),
  'tls.past-sidecar': ({ joins }) => ({
    because: 'the pod’s rules keep the call from the caller’s sidecar',
    fix: () => [joins],
  }),
  'tls.destination': byRule,
  'tls.subset': byRule,
  'tls.port': byRule,
  'tls.port-replaces': ({ source }) => ({
    because: `${said(source)} is replaced whole by an entry for the port that has no tls`,
    fix: (to) => [`repeat tls in the portLevelSettings of the DestinationRule, with mode ${to}`],
  }),
  'tls.external': () => ({
    because: 'the host is outside the mesh (location MESH_EXTERNAL), where no mutual TLS is automatic',
    fix: (to) => ['write location: MESH_INTERNAL in the ServiceEntry', addRule(to)],
  }),
  'tls.auto-off': () => ({
    because: 'automatic mutual TLS is off (enableAutoMtls: false)',
    fix: (to) => [addRule(to), 'set enableAutoMtls: true in meshConfig'],
  }),
  'tls.auto-istio': ({ source }) => ({
    because: `${said(source)} says DISABLE, by which Istio’s clients decide (compat.autoMtls: istio)`,
    fix: (to) => [addRule(to), `change ${said(source)}`],
  }),
  'tls.auto': byEndpoint,
  'tls.auto-headless': byEndpoint,
  'tls.auto-address': byEndpoint,
  'tls.auto-passthrough': byEndpoint,
  'tls.auto-istio-headless': byEndpoint,
  'tls.credential-unselected': ({ source }) => ({
    because: `${said(source)} counts on sidecars only in a rule with a workloadSelector`,
    fix: () => [`add a workloadSelector to the DestinationRule of ${said(source)}`],
  }),
  'tls.passthrough': unknown,
  'tls.loopback': unknown,
}

export const clientTlsRules = Object.keys(rows)

export function clientTls(tls: Decided<WireTls>, joins: string, of: Facts['unknown']): ClientTls {
  const [first, second] = tls.because
  const row = rows[first?.rule ?? '']
  invariant(row !== undefined, `no words for ${first?.rule ?? 'nothing'}`)
  return row({ tls, source: first?.source ?? 'default', second, joins, unknown: of })
}
