// Transport sockets: what a TLS side presents, whom it believes, and whom it expects. Law: TLS 1.2 is the floor whatever the resource says.
import { fields, type Notes } from './notes.ts'
import { compileString } from './string-match.ts'
import type { DataSource, TransportSocket } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'
import type { CertificateValidationContext, SubjectAltNameMatcher } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/common_pb.ts'
import type { CommonTlsContext, DownstreamTlsContext, UpstreamTlsContext } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts'

const tlsTypes = 'envoy.extensions.transport_sockets.tls.v3.'
export const rawBufferUrl = 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer'

/** Bytes by file name, by name of an SDS secret, or as they stand. */
export type Material = { readonly file: string } | { readonly inline: string } | { readonly sds: string }

export interface SanMatch {
  /** Envoy's SanType; ANY for the old untyped form. */
  readonly type: 'URI' | 'DNS' | 'EMAIL' | 'IP_ADDRESS' | 'ANY'
  readonly test: (value: string) => boolean
  readonly text: string
}

export interface Validation {
  /** Roots; null = the system's. `none` = the chain is not verified. */
  readonly roots: Material | null | 'none'
  /** One of them must match; empty = any name. */
  readonly sans: readonly SanMatch[]
  /** What is revoked, beside what the roots' own secret says. */
  readonly crl?: Material
}

export interface TlsSettings {
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  readonly maxVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's names; undefined = the default list. */
  readonly ciphers?: string
  readonly alpn: readonly string[]
  readonly certificate?: { readonly sds: string } | { readonly chain: Material; readonly key: Material }
  /** Absent: the peer is not verified at all. */
  readonly validation?: Validation
}

export interface UpstreamTls extends TlsSettings {
  /** '' = none, or by auto SNI. */
  readonly sni: string
}

export interface DownstreamTls extends TlsSettings {
  readonly requireClientCertificate: boolean
}

/** null: plaintext. undefined: broken, an error is noted. */
export function compileUpstreamTls(socket: TransportSocket | undefined, notes: Notes): UpstreamTls | null | undefined {
  const any = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined
  if (socket === undefined || any?.typeUrl === rawBufferUrl || (any === undefined && /raw_buffer/.test(socket.name))) return null
  const context = notes.unpack<UpstreamTlsContext>(any, `${tlsTypes}UpstreamTlsContext`)
  if (context === undefined) return undefined
  notes.onlyServes(context, fields('common_tls_context sni allow_renegotiation max_session_keys'))
  return { ...compileCommon(context.commonTlsContext, notes), sni: context.sni }
}

/** null: plaintext. undefined: broken, an error is noted. */
export function compileDownstreamTls(socket: TransportSocket | undefined, notes: Notes): DownstreamTls | null | undefined {
  const any = socket?.configType.case === 'typedConfig' ? socket.configType.value : undefined
  if (socket === undefined || any?.typeUrl === rawBufferUrl || (any === undefined && /raw_buffer/.test(socket.name))) return null
  const context = notes.unpack<DownstreamTlsContext>(any, `${tlsTypes}DownstreamTlsContext`)
  if (context === undefined) return undefined
  notes.onlyServes(context, fields('common_tls_context require_client_certificate disable_stateful_session_resumption'))
  const common = compileCommon(context.commonTlsContext, notes)
  if (common.certificate === undefined) notes.error('a downstream TLS context needs a certificate')
  return { ...common, requireClientCertificate: context.requireClientCertificate ?? false }
}

const versions: Readonly<Record<number, 'TLSv1.2' | 'TLSv1.3'>> = { 1: 'TLSv1.2', 2: 'TLSv1.2', 3: 'TLSv1.2', 4: 'TLSv1.3' }

function compileCommon(common: CommonTlsContext | undefined, notes: Notes): TlsSettings {
  if (common === undefined) return { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', alpn: [] }
  const served = 'tls_params tls_certificates tls_certificate_sds_secret_configs validation_context validation_context_sds_secret_config combined_validation_context alpn_protocols'
  notes.onlyServes(common, fields(served))
  const params = common.tlsParams
  if (params !== undefined) notes.onlyServes(params, fields('tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves'))
  const suites = params?.cipherSuites ?? []
  const validation = compileValidation(common, notes)
  const certificate = compileCertificate(common, notes)
  return {
    minVersion: versions[params?.tlsMinimumProtocolVersion ?? 0] ?? 'TLSv1.2',
    maxVersion: versions[params?.tlsMaximumProtocolVersion ?? 0] ?? 'TLSv1.3',
    ...(suites.length === 0 ? {} : { ciphers: `TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:${suites.map((s) => s.replace(/[[\]]/g, '').replaceAll('|', ':')).join(':')}` }),
    alpn: common.alpnProtocols,
    ...(certificate === undefined ? {} : { certificate }),
    ...(validation === undefined ? {} : { validation }),
  }
}

function compileCertificate(common: CommonTlsContext, notes: Notes): TlsSettings['certificate'] {
  const sds = common.tlsCertificateSdsSecretConfigs[0]
  if (sds !== undefined) return { sds: sds.name }
  const plain = common.tlsCertificates[0]
  if (plain === undefined) return undefined
  if (common.tlsCertificates.length > 1) notes.notServed('more than one tls_certificate')
  notes.onlyServes(plain, fields('certificate_chain private_key'))
  const chain = compileSource(plain.certificateChain, 'certificate_chain', notes)
  const key = compileSource(plain.privateKey, 'private_key', notes)
  return chain === undefined || key === undefined ? undefined : { chain, key }
}

function compileSource(source: DataSource | undefined, what: string, notes: Notes): Material | undefined {
  const s = source?.specifier
  switch (s?.case) {
    case 'filename':
      return { file: s.value }
    case 'inlineString':
      return { inline: s.value }
    case 'inlineBytes':
      return { inline: Buffer.from(s.value).toString('utf8') }
    default:
      notes.error(`${what} has no filename, inline_string or inline_bytes`)
      return undefined
  }
}

function compileValidation(common: CommonTlsContext, notes: Notes): Validation | undefined {
  const type = common.validationContextType
  switch (type.case) {
    case undefined:
      return undefined
    case 'validationContext':
      return compileContext(type.value, undefined, notes)
    case 'validationContextSdsSecretConfig':
      return { roots: { sds: type.value.name }, sans: [] }
    case 'combinedValidationContext': {
      const sds = type.value.validationContextSdsSecretConfig?.name
      return compileContext(type.value.defaultValidationContext, sds, notes)
    }
    default:
      notes.error(`validation context ${type.case} is unknown`)
      return undefined
  }
}

function compileContext(context: CertificateValidationContext | undefined, sds: string | undefined, notes: Notes): Validation | undefined {
  if (context === undefined) return sds === undefined ? undefined : { roots: { sds }, sans: [] }
  notes.onlyServes(context, fields('trusted_ca system_root_certs match_typed_subject_alt_names match_subject_alt_names trust_chain_verification crl'))
  const sans = [
    ...context.matchTypedSubjectAltNames.map((m) => compileSan(m, notes)),
    ...context.matchSubjectAltNames.map((m): SanMatch => ({ type: 'ANY', ...compileString(m, notes) })),
  ]
  if (context.trustChainVerification === 1) return { roots: 'none', sans }
  const list = context.crl === undefined ? undefined : compileSource(context.crl, 'crl', notes)
  const revoked = list === undefined ? {} : { crl: list }
  if (sds !== undefined) return { roots: { sds }, sans, ...revoked }
  if (context.trustedCa !== undefined) return { roots: compileSource(context.trustedCa, 'trusted_ca', notes) ?? null, sans, ...revoked }
  if (context.systemRootCerts !== undefined) return { roots: null, sans, ...revoked }
  return sans.length === 0 ? undefined : { roots: null, sans }
}

const sanTypes: Readonly<Record<number, SanMatch['type']>> = { 1: 'EMAIL', 2: 'DNS', 3: 'URI', 4: 'IP_ADDRESS' }

function compileSan(matcher: SubjectAltNameMatcher, notes: Notes): SanMatch {
  const type = sanTypes[matcher.sanType]
  if (type === undefined) notes.error(`SAN type ${matcher.sanType} is unknown`)
  return { type: type ?? 'URI', ...compileString(matcher.matcher, notes) }
}
