// Secrets of a cluster for the proxies that name them: each followed by its name alone, while somebody connected asks for it.
// Law: a key goes to a proxy only if its service account may itself read Secrets there; roots are no secret. No answer is no.
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { followObject, type FollowedObject } from '#sources'
import { credentialResource, parseCredential, secretData, type Asker, type CredentialName, type Credentials } from '../credentials.ts'

export interface ClusterCredentialsOptions {
  readonly client: Pick<KubernetesClient, 'create' | 'pages' | 'watch'>
  readonly log: Logger
  readonly now: () => number
  /** After so long a right that was refused is asked for again. Default: a minute, as in Istio. */
  readonly refusedMs?: number
  /** Somebody may get something else now. */
  readonly onChange: () => void
}

interface Right {
  readonly allowed: boolean
  readonly untilMs: number
}

/** As Istio keeps it: a right that was given holds longer than one that was not. */
const allowedMs = 5 * 60_000
/** A proxy names a handful; one that names thousands shall not have them watched. */
const mostNames = 64

export function clusterCredentials({ client, log, now, onChange, refusedMs = 60_000 }: ClusterCredentialsOptions): Credentials {
  const followed = new Map<string, FollowedObject>()
  const wantedBy = new Map<object, ReadonlySet<string>>()
  const rights = new Map<string, Right>()
  const asking = new Set<string>()
  const warned = new Map<string, string>()
  const again = new Set<NodeJS.Timeout>()
  let closed = false

  const follow = (namespace: string, name: string): FollowedObject => {
    const key = `${namespace}/${name}`
    const known = followed.get(key)
    if (known !== undefined) return known
    const made = followObject(client, { apiVersion: 'v1', kind: 'Secret', namespace, name }, log, onChange)
    followed.set(key, made)
    return made
  }
  const release = (): void => {
    const wanted = new Set([...wantedBy.values()].flatMap((s) => [...s]))
    for (const [key, one] of followed) {
      if (wanted.has(key)) continue
      one.close()
      followed.delete(key)
    }
  }
  const warnOnce = (key: string, reason: string): void => {
    if (warned.get(key) === reason) return
    warned.set(key, reason)
    log.warn({ secret: key, reason }, 'secret of a credentialName can’t be used')
  }
  /** Nothing else would tell of a role that was bound meanwhile. Timers may run a moment early. */
  const askAgain = (): void => {
    const timer = setTimeout(() => {
      again.delete(timer)
      if (wantedBy.size > 0) onChange()
    }, refusedMs + 20)
    timer.unref()
    again.add(timer)
  }
  /** false while nobody has answered; whoever hears later hears by onChange. */
  const mayRead = ({ namespace, serviceAccount }: Asker): boolean => {
    const user = `system:serviceaccount:${namespace}:${serviceAccount}`
    const right = rights.get(user)
    if ((right === undefined || right.untilMs <= now()) && !asking.has(user)) {
      asking.add(user)
      void review(client, user, namespace)
        .then((allowed) => {
          if (!allowed && right?.allowed !== false) log.warn({ account: `${namespace}/${serviceAccount}` }, 'a credentialName is not served: the service account of the proxy may not list secrets in its namespace')
          rights.set(user, { allowed, untilMs: now() + (allowed ? allowedMs : refusedMs) })
          if (closed) return
          if (!allowed) askAgain()
          if (allowed !== (right?.allowed ?? false)) onChange()
        })
        .catch((error: unknown) => {
          log.warn({ account: `${namespace}/${serviceAccount}`, reason: (error as Error).message }, 'whether a service account may read secrets could not be asked')
          rights.set(user, { allowed: right?.allowed ?? false, untilMs: now() + refusedMs })
          if (!closed) askAgain()
        })
        .finally(() => asking.delete(user))
    }
    return right?.allowed === true
  }
  const objectOf = ({ namespace, secrets }: CredentialName): KubernetesObject | undefined => secrets.map((s) => follow(namespace, s).current()).find((o) => o !== undefined)

  return {
    of(stream, asker, names) {
      const parsed = [...names].flatMap((name) => {
        const credential = parseCredential(name, asker.namespace)
        return credential === undefined ? [] : [{ name, credential }]
      }).slice(0, mostNames)
      wantedBy.set(stream, new Set(parsed.flatMap(({ credential }) => credential.secrets.map((s) => `${credential.namespace}/${s}`))))
      release()
      return new Map(parsed.flatMap(({ name, credential }) => {
        if (!credential.authorities && !mayRead(asker)) return []
        const object = objectOf(credential)
        if (object === undefined) return []
        const made = credentialResource(name, credential, secretData(object))
        if (typeof made !== 'string') return [[name, made] as const]
        warnOnce(`${asker.namespace}/${object.metadata.name}`, made)
        return []
      }))
    },
    gone(stream) {
      if (wantedBy.delete(stream)) release()
    },
    close() {
      closed = true
      for (const timer of again) clearTimeout(timer)
      wantedBy.clear()
      release()
    },
  }
}

/** Istio asks for list, and so do we: who may list Secrets may read each. */
async function review(client: Pick<KubernetesClient, 'create'>, user: string, namespace: string): Promise<boolean> {
  const answer = await client.create({ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', metadata: {}, spec: { user, groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'], resourceAttributes: { namespace, verb: 'list', resource: 'secrets' } } })
  return (answer['status'] as { readonly allowed?: boolean } | undefined)?.allowed === true
}
