// A credentialName: what has to be there so that TLS can be made with it. Law: of a Secret its keys' names are looked at, never a value.
import { isRecord } from '#api'
import type { UpstreamTls } from '#plan'
import type { Question } from './question.ts'

/** null: nothing more is needed, as far as the files tell. */
export function credentialNeeds({ mesh, client }: Question, tls: UpstreamTls): string | null {
  if ((tls.mode !== 'SIMPLE' && tls.mode !== 'MUTUAL') || tls.credentialName === undefined) return null
  const name = tls.credentialName.replace(/^kubernetes:\/\/(?:[^/]*\/)?/, '')
  const secret = (wanted: string): readonly string[] | undefined => {
    const found = mesh.objects.find((o) => o.kind === 'Secret' && o.metadata.namespace === client.namespace && o.metadata.name === wanted)
    return found === undefined ? undefined : ['data', 'stringData'].flatMap((part) => (isRecord(found.raw[part]) ? Object.keys(found.raw[part]) : []))
  }
  const has = (keys: readonly string[] | undefined, ...pairs: readonly (readonly string[])[]): boolean => keys !== undefined && pairs.some((pair) => pair.every((k) => keys.includes(k)))
  const account = `${client.namespace}/${client.serviceAccount}`
  const needs = [
    ...(tls.mode === 'MUTUAL' && !has(secret(name), ['cert', 'key'], ['tls.crt', 'tls.key']) ? [`the Secret ${client.namespace}/${name} with tls.crt and tls.key (or cert and key), which the service account ${account} may read`] : []),
    ...(tls.insecureSkipVerify === true || has(secret(`${name}-cacert`) ?? secret(name), ['cacert'], ['ca.crt']) ? [] : [`ca.crt (or cacert) in the Secret ${client.namespace}/${name}-cacert or ${client.namespace}/${name}`]),
  ]
  return needs.length === 0 ? null : `the caller’s sidecar gets ${needs.join(', and ')}; until then calls end with 503`
}
