// What the control plane says of the mesh's roots, and whether the certificate at hand goes along with it. Law: the CA's answer and the pod's mount alone bring roots; what is said only tells when to ask.
import { fromBinary } from '@bufbuild/protobuf'
import { parseCertificates } from '#identity'
import { message } from '#proto'
import { issuedMs, renewalMarkOf, type Resource } from '#xds'
import type { Secret } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import { textOf } from './credential-secret.ts'
import type { WorkloadCertificate } from './rotation.ts'

export interface AnnouncedTrust {
  /** PEM, with the control plane's mark; '' where the resource is no trust bundle. */
  readonly roots: string
  /** PEM of the lists of what was revoked; '' where there are none. */
  readonly revocations: string
}

export function announcedTrust(resource: Resource): AnnouncedTrust {
  const { type } = fromBinary(message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret'), resource.any.value)
  const context = type.case === 'validationContext' ? type.value : undefined
  return { roots: textOf(context?.trustedCa), revocations: textOf(context?.crl) }
}

/** Other roots hold than those that came with the certificate, or it comes from before its authority was replaced. */
export function isOutdated(certificate: Pick<WorkloadCertificate, 'roots' | 'notBeforeMs' | 'notAfterMs'>, announced: string): boolean {
  if (!announced.includes('BEGIN CERTIFICATE')) return false
  const before = renewalMarkOf(announced)
  return before !== undefined && issuedMs(certificate.notBeforeMs, certificate.notAfterMs) < before || fingerprints(announced) !== fingerprints(certificate.roots)
}

/** What peers may chain to: whoever writes the mount chooses the CA that is asked, so its roots count as much. */
export function trustedRoots({ roots, mounted = '' }: Pick<WorkloadCertificate, 'roots' | 'mounted'>): string {
  const own = new Set(parseCertificates(roots).map((c) => c.fingerprint256))
  const beside = mounted.includes('BEGIN CERTIFICATE') ? parseCertificates(mounted).filter((c) => !own.has(c.fingerprint256)) : []
  return roots + beside.map((c) => c.toString().trimEnd() + '\n').join('')
}

function fingerprints(pem: string): string {
  return parseCertificates(pem).map((c) => c.fingerprint256).sort().join()
}
