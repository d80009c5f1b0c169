// Which pod a user means: `sleep.foo`, `deploy/sleep.foo`, `pod/sleep-7d4-x.foo`, as kubectl and istioctl take them. Pure.
import { KithError } from '#lib/errors.ts'
import { nearest } from '#lib/nearest.ts'
import type { PodReference, PodView } from '../types.ts'

const kinds: Readonly<Record<string, string>> = {
  deploy: 'Deployment', deployment: 'Deployment', deployments: 'Deployment', sts: 'StatefulSet', statefulset: 'StatefulSet', statefulsets: 'StatefulSet', ds: 'DaemonSet', daemonset: 'DaemonSet', daemonsets: 'DaemonSet',
  rs: 'ReplicaSet', replicaset: 'ReplicaSet', job: 'Job', jobs: 'Job', po: 'Pod', pod: 'Pod', pods: 'Pod',
}

/** `[kind/]name[.namespace]` as text. */
export function formatReference(reference: PodReference): string {
  if (typeof reference === 'string') return reference
  return `${reference.kind === undefined ? '' : `${reference.kind}/`}${reference.name}.${reference.namespace}`
}

/** The first ready pod of those that are meant, else the first. @throws KithError NO_SUCH_POD */
export function findPod(pods: readonly PodView[], text: string, defaultNamespace = 'default'): PodView {
  const slash = text.indexOf('/')
  const word = slash < 0 ? undefined : text.slice(0, slash).toLowerCase()
  const kind = word === undefined ? undefined : kinds[word]
  if (word !== undefined && kind === undefined) throw new KithError('NO_SUCH_POD', `${JSON.stringify(word)} is no kind that has pods; use deploy, sts, ds, rs, job or pod`)
  const rest = text.slice(slash + 1)
  const ways = [...new Set([rest.lastIndexOf('.'), rest.indexOf('.')])].filter((i) => i > 0).map((i) => ({ name: rest.slice(0, i), namespace: rest.slice(i + 1) }))
  for (const { name, namespace } of [...ways, { name: rest, namespace: defaultNamespace }]) {
    const meant = pods.filter((p) => p.namespace === namespace && (kind === 'Pod' ? p.name === name : kind === undefined ? p.name === name || p.owner.endsWith(`/${name}`) : p.owner === `${kind}/${name}` || (kind === 'ReplicaSet' && p.name.startsWith(`${name}-`))))
    const found = meant.find((p) => p.ready) ?? meant[0]
    if (found !== undefined) return found
  }
  // Without a namespace: where only one has it, that one is meant.
  const anywhere = ways.length > 0 ? [] : pods.filter((p) => (kind === 'Pod' ? p.name === rest : p.name === rest || (p.owner.endsWith(`/${rest}`) && (kind === undefined || p.owner.startsWith(`${kind}/`)))))
  if (new Set(anywhere.map((p) => p.namespace)).size === 1) return anywhere.find((p) => p.ready) ?? (anywhere[0] as PodView)
  if (anywhere.length > 0) throw new KithError('NO_SUCH_POD', `${JSON.stringify(text)} is in several namespaces (${[...new Set(anywhere.map((p) => p.namespace))].join(', ')}); say which with -n`)
  const known = pods.flatMap((p) => [`${p.owner.split('/')[1]}.${p.namespace}`, `${p.name}.${p.namespace}`])
  const near = nearest(rest, known) ?? known.find((k) => k.startsWith(`${rest}.`) || k.startsWith(`${rest.split('.')[0]}.`))
  throw new KithError('NO_SUCH_POD', `no pod is meant by ${JSON.stringify(text)}${near === undefined ? '' : `; did you mean ${near}?`} (kith ps -A shows them all)`)
}
