// The authority of a mesh in a cluster: plugged in by the Secret `cacerts` (or its mount), else self-signed and kept in the Secret `istio-ca-secret`.
// Law: of several control planes that start at once one makes the root, the others take it. One that does not hang together is refused; the last one goes on.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { newRootFiles, readAuthority, type Authority } from '#ca'
import { followObject } from '#sources'
import { isUnchanged, pluggedInSource, type AuthoritySource } from '../authority-source.ts'
import { dataOf, textsOf } from './secret-texts.ts'

export const pluggedInSecret = 'cacerts'
export const ownSecret = 'istio-ca-secret'
/** Where a Deployment mounts `cacerts`. */
const mounted = '/etc/cacerts'

export interface ClusterAuthorityOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'pages' | 'watch'>
  readonly namespace: string
  readonly trustDomain: string
  /** Of a root that is made here. Default: ten years. */
  readonly rootLifetimeMs?: number
  readonly now: () => number
  readonly log: Logger
  readonly onChange: (authority: Authority) => void
  /** PEM of roots that peers may still go by. */
  readonly held?: string
  /**
   * What was plugged in is gone for so long: our own root takes over, as it would after a restart. Until then it may be
   * being replaced. Default 30 s.
   */
  readonly goneAfterMs?: number
  /** One that is refused is looked at again: it may begin in a moment (its maker's clock is ahead). Default 60 s. */
  readonly againMs?: number
}

const usualGoneAfterMs = 30_000
const usualAgainMs = 60_000

export async function clusterAuthority(options: ClusterAuthorityOptions): Promise<AuthoritySource> {
  const held = options.held === undefined ? {} : { held: options.held }
  const { client, namespace, now, log, onChange } = options
  let last: Authority | undefined
  let pluggedIn = false
  let taking: Promise<void> = Promise.resolve()
  let returning: NodeJS.Timeout | undefined
  let isBack = (): boolean => false
  let closed = false
  const refused = new Map<string, NodeJS.Timeout>()
  const inOrder = (work: () => Promise<void>, failed: () => void = () => undefined): void => {
    // One after another: of two that come in haste the later one counts.
    taking = taking.then(work).catch((error: unknown) => {
      log.error({ reason: (error as Error).message }, 'certificate authority refused, the last one goes on')
      failed()
    })
  }
  const takeInOrder = (name: string, secret: KubernetesObject | undefined): void => {
    clearTimeout(refused.get(name))
    inOrder(() => take(name, secret), () => {
      if (!closed) refused.set(name, setTimeout(() => takeInOrder(name, secret), options.againMs ?? usualAgainMs).unref())
    })
  }
  const gone = (name: string): void => {
    if (name !== pluggedInSecret || !pluggedIn || closed) return void (last !== undefined && log.warn({ secret: name, namespace }, 'the secret of the certificate authority is gone, the last one goes on'))
    const afterMs = options.goneAfterMs ?? usualGoneAfterMs
    log.warn({ secret: name, namespace, seconds: afterMs / 1000 }, 'the secret of the certificate authority is gone: unless it comes back by then, our own root takes over in steps')
    clearTimeout(returning)
    returning = setTimeout(() => inOrder(async () => {
      if (isBack() || closed) return
      const own = await ownOrNew(options).catch((error: unknown) => {
        gone(name)
        throw error
      })
      pluggedIn = false
      await take(ownSecret, own)
    }), afterMs)
    returning.unref()
  }
  const take = async (name: string, secret: KubernetesObject | undefined): Promise<void> => {
    if (secret === undefined) return gone(name)
    if (name === pluggedInSecret) clearTimeout(returning)
    // What somebody plugged in counts before what we made.
    if (name === ownSecret && pluggedIn) return
    const next = await authorityOfSecret(secret, `the secret ${namespace}/${name}`, now())
    if (name === pluggedInSecret) pluggedIn = true
    if (last !== undefined && isUnchanged(last, next)) return
    const isFirst = last === undefined
    last = next
    if (!isFirst) onChange(next)
  }
  const watch = (name: string) => followObject(client, { apiVersion: 'v1', kind: 'Secret', namespace, name }, log, (secret) => {
    takeInOrder(name, secret)
  })
  const close = (watches: readonly { close(): void }[]): void => {
    closed = true
    for (const timer of [returning, ...refused.values()]) clearTimeout(timer)
    for (const w of watches) w.close()
  }
  const plugged = await client.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: pluggedInSecret })
  const isMounted = existsSync(join(mounted, 'ca-key.pem')) || existsSync(join(mounted, 'tls.key'))
  // Where the root that we made is still there, it may be what signed before.
  const former = plugged !== undefined || isMounted ? await ownAuthority(options) : undefined
  const before = { ...held, ...(former === undefined ? {} : { former }) }
  // The mount follows the Secret with a delay, each replica's with its own: it counts where there is no Secret.
  if (plugged === undefined && isMounted) return { ...(await pluggedInSource(mounted, options)), ...before }
  if (plugged === undefined) await take(ownSecret, await ownOrNew(options))
  else await take(pluggedInSecret, plugged)
  const watches = [watch(pluggedInSecret), watch(ownSecret)] as const
  isBack = () => watches[0].current() !== undefined
  return { first: last as unknown as Authority, ...before, close: () => close(watches) }
}

async function ownAuthority({ client, namespace, now, log }: ClusterAuthorityOptions): Promise<Authority | undefined> {
  try {
    const secret = await client.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: ownSecret })
    return secret === undefined ? undefined : await authorityOfSecret(secret, `the secret ${namespace}/${ownSecret}`, now())
  } catch (error) {
    return void log.warn({ secret: ownSecret, namespace, reason: (error as Error).message }, 'the root that was made before can’t be read')
  }
}

async function ownOrNew({ client, namespace, trustDomain, rootLifetimeMs, now, log }: ClusterAuthorityOptions): Promise<KubernetesObject> {
  const key = { apiVersion: 'v1', kind: 'Secret', namespace, name: ownSecret }
  const there = await client.get(key)
  if (there !== undefined) return there
  const files = await newRootFiles(trustDomain, now(), rootLifetimeMs)
  try {
    const made = await client.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: ownSecret, namespace, labels: { app: 'istiod' } }, type: 'istio.io/ca-root', data: dataOf(files) })
    log.info({ secret: ownSecret, namespace }, 'root of the mesh made')
    return made
  } catch (error) {
    // Another control plane was quicker: its root is the mesh's.
    const theirs = error instanceof KithError && error.code === 'K8S_CONFLICT' ? await client.get(key) : undefined
    if (theirs === undefined) throw error
    return theirs
  }
}

export function authorityOfSecret(secret: KubernetesObject, where: string, nowMs: number): Promise<Authority> {
  const texts = textsOf(secret)
  return readAuthority((name) => texts[name], where, nowMs)
}
