// credentialName: which Secret an SDS name means, and what of it goes to a proxy, as Istio has it (pilot/pkg/xds/sds.go, credentials/kube/secrets.go).
// Law: a name leads into the proxy's own namespace alone; key material stands in the resource and nowhere else: no log, no problem, no dump.
import { create } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { createHash } from 'node:crypto'
import { isRecord } from '#api'
import { message } from '#proto'
import { typeUrls, type Resource } from '#xds'
import type { Secret } from '../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'

/** Whose proxy asks, proved by its certificate. */
export interface Asker {
  readonly namespace: string
  readonly serviceAccount: string
}

export interface Credentials {
  /** What this proxy may have of the names that it asks for. `stream`: what stays the same while it is connected. */
  of(stream: object, asker: Asker, names: Iterable<string>): ReadonlyMap<string, Resource>
  /** The stream has ended. */
  gone(stream: object): void
  close(): void
}

export interface CredentialName {
  readonly namespace: string
  /** Secrets that may hold it, the first that is there counts. */
  readonly secrets: readonly string[]
  /** Certificates of authorities alone: no secret. */
  readonly authorities: boolean
}

const scheme = 'kubernetes://'
const suffix = '-cacert'

/** undefined: a name of something else, or of another namespace. */
export function parseCredential(name: string, namespace: string): CredentialName | undefined {
  if (!name.startsWith(scheme)) return undefined
  const parts = name.slice(scheme.length).split('/')
  const [own, secret] = parts.length === 1 ? [namespace, parts[0]] : [parts[0], parts[1]]
  if (parts.length > 2 || own !== namespace || secret === undefined || !/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/.test(secret)) return undefined
  const authorities = secret.endsWith(suffix)
  return { namespace, authorities, secrets: authorities ? [secret, secret.slice(0, -suffix.length)] : [secret] }
}

export type SecretData = Readonly<Record<string, string>>

/** `data` as the API server has it, `stringData` as people write it; by key, as text. */
export function secretData(raw: Readonly<Record<string, unknown>>): SecretData {
  const data = Object.entries(isRecord(raw['data']) ? raw['data'] : {}).map(([k, v]) => [k, Buffer.from(String(v), 'base64').toString('utf8')])
  const plain = Object.entries(isRecord(raw['stringData']) ? raw['stringData'] : {}).map(([k, v]) => [k, String(v)])
  return Object.fromEntries([...data, ...plain]) as SecretData
}

/** The resource, or what is wrong with the Secret: by its keys' names. */
export function credentialResource(name: string, { authorities }: CredentialName, data: SecretData): Resource | string {
  const filled = (key: string): string | undefined => (data[key] === undefined || data[key] === '' ? undefined : data[key])
  const has = Object.keys(data).sort().slice(0, 5).join(', ')
  if (authorities) {
    const ca = filled('cacert') ?? filled('ca.crt')
    if (ca === undefined) return `it has neither cacert nor ca.crt; it has ${has === '' ? 'nothing' : has}`
    const crl = filled(filled('cacert') === undefined ? 'ca.crl' : 'crl')
    return resource(name, { case: 'validationContext', value: { trustedCa: inline(ca), ...(crl === undefined ? {} : { crl: inline(crl) }) } })
  }
  const [chain, key] = filled('cert') !== undefined && filled('key') !== undefined ? [filled('cert'), filled('key')] : [filled('tls.crt'), filled('tls.key')]
  if (chain === undefined || key === undefined) return `it has neither cert and key nor tls.crt and tls.key; it has ${has === '' ? 'nothing' : has}`
  return resource(name, { case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } })
}

const inline = (text: string) => ({ specifier: { case: 'inlineBytes' as const, value: Buffer.from(text, 'utf8') } })
const schema = message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret')

function resource(name: string, type: object): Resource {
  const any = anyPack(schema, create(schema, { name, type } as never))
  return { type: typeUrls.secret, name, version: createHash('sha256').update(any.value).digest('hex').slice(0, 16), any }
}
