// Both sides' TLS contexts. Certificates come by SDS from the agent beside the proxy, never from the control plane.
import type { MeshSettings, ServerTls, UpstreamTls } from '#plan'
import { some, typed, type Obj } from './json.ts'

const tlsType = 'envoy.extensions.transport_sockets.tls.v3'
/** Istio's TLS 1.2 ciphers. */
const cipherSuites = ['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'AES128-GCM-SHA256']

/** What else BoringSSL knows; a name that it does not know would close every inbound port. */
const otherSuites = [
  'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305', 'ECDHE-ECDSA-AES128-SHA', 'ECDHE-RSA-AES128-SHA', 'ECDHE-ECDSA-AES256-SHA', 'ECDHE-RSA-AES256-SHA', 'AES128-SHA', 'AES256-SHA',
]

/** The mesh's choice without names that nobody knows, as Istio filters it; Istio's list where nothing is left. */
function ciphersOf(mesh: MeshSettings): string[] {
  const known = mesh.cipherSuites.filter((c) => cipherSuites.includes(c) || otherSuites.includes(c))
  return known.length > 0 ? [...new Set(known)] : [...cipherSuites]
}

/** The agent serves its own and files; the control plane serves the cluster's Secrets, and one that never comes must not hold the cluster for ever. */
function sdsSecret(name: string): Obj {
  if (name.startsWith('kubernetes://')) return { name, sdsConfig: { ads: {}, resourceApiVersion: 'V3' } }
  return {
    name,
    sdsConfig: { apiConfigSource: { apiType: 'GRPC', transportApiVersion: 'V3', setNodeOnFirstMessageOnly: true, grpcServices: [{ envoyGrpc: { clusterName: 'sds-grpc' } }] }, initialFetchTimeout: '0s', resourceApiVersion: 'V3' },
  }
}

function uriSans(values: readonly { readonly exact?: string; readonly prefix?: string }[]): Obj[] {
  return values.map((matcher) => ({ sanType: 'URI', matcher: some(matcher) }))
}

function meshContext(sans: readonly Obj[], alpn: readonly string[], params: Obj): Obj {
  return {
    tlsParams: params, alpnProtocols: [...alpn], tlsCertificateSdsSecretConfigs: [sdsSecret('default')],
    combinedValidationContext: { defaultValidationContext: sans.length === 0 ? {} : { matchTypedSubjectAltNames: [...sans] }, validationContextSdsSecretConfig: sdsSecret('ROOTCA') },
  }
}

/** Server side: a certificate of one of the mesh's trust domains is asked for, always. */
export function downstreamMtls(mesh: MeshSettings, alpn: readonly string[]): Obj {
  const sans = uriSans([mesh.trustDomain, ...mesh.trustDomainAliases].map((d) => ({ prefix: `spiffe://${d}/` })))
  const params = some({ tlsMinimumProtocolVersion: mesh.minTlsVersion === 'TLSV1_3' ? 'TLSv1_3' : 'TLSv1_2', tlsMaximumProtocolVersion: 'TLSv1_3', cipherSuites: mesh.minTlsVersion === 'TLSV1_3' ? undefined : ciphersOf(mesh) })
  return { name: 'envoy.transport_sockets.tls', typedConfig: typed(`${tlsType}.DownstreamTlsContext`, { commonTlsContext: meshContext(sans, alpn, params), requireClientCertificate: true }) }
}

/** Client side, mesh certificates: the server must show one of the expected ids. Without any known, its chain alone is checked. */
export function upstreamMtls(tls: { readonly sni: string; readonly sans: readonly string[] }, alpn: readonly string[]): Obj {
  const context = meshContext(uriSans(tls.sans.map((exact) => ({ exact }))), alpn, { tlsMinimumProtocolVersion: 'TLSv1_2', tlsMaximumProtocolVersion: 'TLSv1_3' })
  return { name: 'envoy.transport_sockets.tls', typedConfig: typed(`${tlsType}.UpstreamTlsContext`, some({ commonTlsContext: context, sni: tls.sni.length > 255 ? undefined : tls.sni })) }
}

/** Server side, a Sidecar's own certificate from files. */
export function downstreamUserTls(tls: ServerTls, alpn: readonly string[]): Obj {
  const matchers = (tls.sans ?? []).map((exact) => (exact.includes('://') ? { sanType: 'URI', matcher: { exact } } : { sanType: 'DNS', matcher: { exact } }))
  const validation = { defaultValidationContext: matchers.length === 0 ? {} : { matchTypedSubjectAltNames: matchers }, validationContextSdsSecretConfig: sdsSecret(`file-root:${tls.caCertificates ?? 'system'}`) }
  const commonTlsContext = some({
    tlsParams: { tlsMinimumProtocolVersion: 'TLSv1_2', tlsMaximumProtocolVersion: 'TLSv1_3' }, alpnProtocols: alpn.length === 0 ? undefined : [...alpn],
    tlsCertificateSdsSecretConfigs: [sdsSecret(`file-cert:${tls.certificate}~${tls.privateKey}`)], combinedValidationContext: tls.mode === 'SIMPLE' ? undefined : validation,
  })
  return { name: 'envoy.transport_sockets.tls', typedConfig: typed(`${tlsType}.DownstreamTlsContext`, { commonTlsContext, requireClientCertificate: tls.mode === 'MUTUAL' }) }
}

type UserTls = Extract<UpstreamTls, { mode: 'SIMPLE' | 'MUTUAL' }>

/** Client side, the user's own settings. `http2`: offers h2. `host`: the name to ask for and to expect where the rule gives none and no request says it (TCP). */
export function upstreamUserTls(tls: UserTls, { http2, host }: { readonly http2: boolean; readonly host: string | undefined }): Obj {
  const sans = tls.sans ?? (tls.sni === undefined && host !== undefined ? [host] : [])
  const matchers = sans.flatMap((exact) => (exact.includes('://') ? uriSans([{ exact }]) : [{ sanType: 'DNS', matcher: { exact } }]))
  const expected = some({ matchTypedSubjectAltNames: matchers.length === 0 ? undefined : matchers, crl: tls.caCrl === undefined ? undefined : { filename: tls.caCrl } })
  const validation = { defaultValidationContext: expected, validationContextSdsSecretConfig: sdsSecret(rootsOf(tls)) }
  const certificate = certificateOf(tls)
  const commonTlsContext = some({
    tlsParams: { tlsMinimumProtocolVersion: 'TLSv1_2', tlsMaximumProtocolVersion: 'TLSv1_3' }, alpnProtocols: http2 ? ['h2'] : undefined,
    tlsCertificateSdsSecretConfigs: certificate === undefined ? undefined : [sdsSecret(certificate)], combinedValidationContext: tls.insecureSkipVerify === true ? undefined : validation,
  })
  return { name: 'envoy.transport_sockets.tls', typedConfig: typed(`${tlsType}.UpstreamTlsContext`, some({ commonTlsContext, sni: tls.sni ?? host })) }
}

/** Istio's secret names for files: the agent beside the proxy reads them, so a file that is missing breaks one cluster's handshakes, not its configuration. Envoy itself knows no system roots. */
function rootsOf(tls: UserTls): string {
  if (tls.credentialName !== undefined) return `${credential(tls.credentialName)}-cacert`
  return `file-root:${tls.caCertificates ?? 'system'}`
}

const credential = (name: string): string => (name.startsWith('kubernetes://') ? name : `kubernetes://${name}`)

function certificateOf(tls: UserTls): string | undefined {
  if (tls.mode !== 'MUTUAL') return undefined
  if (tls.credentialName !== undefined) return credential(tls.credentialName)
  return tls.clientCertificate === undefined || tls.privateKey === undefined ? undefined : `file-cert:${tls.clientCertificate}~${tls.privateKey}`
}

export const rawBuffer: Obj = { name: 'envoy.transport_sockets.raw_buffer', typedConfig: typed('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer') }
