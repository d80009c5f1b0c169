// What the control plane says of the mesh's roots, and whether the certificate at hand goes along with it. Law: the CA's answer alone brings roots; this only says when to ask.
import { fromBinary } from '@bufbuild/protobuf'
import { parseCertificates } from '#identity'
import { message } from '#proto'
import { issuedMs, renewalMarkOf, type Resource } from '#xds'
import type { Secret } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { WorkloadCertificate } from './rotation.ts'

/** PEM, with the control plane's mark; '' where the resource is no trust bundle. */
export function rootsOf(resource: Resource): string {
  const { type } = fromBinary(message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret'), resource.any.value)
  const trusted = type.case === 'validationContext' ? type.value.trustedCa?.specifier : undefined
  return trusted?.case === 'inlineString' ? trusted.value : ''
}

/** Other roots hold than those that came with the certificate, or it comes from before its authority was replaced. */
export function isOutdated(certificate: Pick<WorkloadCertificate, 'roots' | 'notBeforeMs' | 'notAfterMs'>, announced: string): boolean {
  if (!announced.includes('BEGIN CERTIFICATE')) return false
  const before = renewalMarkOf(announced)
  return before !== undefined && issuedMs(certificate.notBeforeMs, certificate.notAfterMs) < before || fingerprints(announced) !== fingerprints(certificate.roots)
}

function fingerprints(pem: string): string {
  return parseCertificates(pem).map((c) => c.fingerprint256).sort().join()
}
