// A Secret resource of the control plane → what the proxy keeps under its name. Law: nothing of it is printed.
import { fromBinary } from '@bufbuild/protobuf'
import { Secret as Hidden } from '#lib/secret.ts'
import { message } from '#proto'
import type { ProxySecret } from '#proxy'
import type { Resource } from '#xds'
import type { DataSource } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'
import type { Secret } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'

/** undefined: neither a certificate nor roots. */
export function credentialSecret(resource: Resource): ProxySecret | undefined {
  const { type } = fromBinary(message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret'), resource.any.value)
  if (type.case === 'tlsCertificate') return { kind: 'certificate', chain: textOf(type.value.certificateChain), key: new Hidden(textOf(type.value.privateKey)) }
  if (type.case !== 'validationContext') return undefined
  const crl = textOf(type.value.crl)
  return { kind: 'trust', roots: textOf(type.value.trustedCa), ...(crl === '' ? {} : { crl }) }
}

export function textOf(source: DataSource | undefined): string {
  const s = source?.specifier
  return s?.case === 'inlineString' ? s.value : s?.case === 'inlineBytes' ? Buffer.from(s.value).toString('utf8') : ''
}
