// The roots as an xDS resource, so that every connected proxy hears of a change at once; Envoy's own Secret, under the name that sidecars go by.
import { anyPack } from '@bufbuild/protobuf/wkt'
import { create } from '@bufbuild/protobuf'
import { canonicalHash } from '#lib/canonical.ts'
import { message } from '#proto'
import { renewalMark, trustName, typeUrls, type Resource } from '#xds'
import type { Secret } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { Trust } from './staged-authority.ts'

const schema = message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret')

export function trustResource(trust: Trust): Resource {
  // A verifier reads certificates alone; the line above them is for the agent.
  const text = renewalMark(trust.renewBeforeMs) + trust.roots
  const inline = (value: string) => ({ specifier: { case: 'inlineString' as const, value } })
  const secret = create(schema, { name: trustName, type: { case: 'validationContext', value: { trustedCa: inline(text), ...(trust.revocations === '' ? {} : { crl: inline(trust.revocations) }) } } })
  return { type: typeUrls.secret, name: trustName, version: canonicalHash([text, trust.revocations]), any: anyPack(schema, secret) }
}
