// Our own root, renewed before it ends: the same key and name, so that what it has signed stays good. Istio: security/pkg/pki/ca/selfsignedcarootcertrotator.go.
// Law: the leader alone, over the version that it read. The Secret's watch brings the new one to all replicas, which take it up in steps like any other.
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { isNearItsEnd, renewedRootFiles } from '#ca'
import { authorityOfSecret, ownSecret, pluggedInSecret } from './cluster-authority.ts'
import { dataOf } from './secret-texts.ts'

export interface RootRenewalSettings {
  /** Istio: CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL, an hour. */
  readonly checkEveryMs?: number
  /** Of its life so much is left when it is renewed. Istio: CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE, 20. */
  readonly gracePercent?: number
  /** Istio: CITADEL_SELF_SIGNED_CA_CERT_TTL, ten years. */
  readonly rootLifetimeMs?: number
  /** The first look is put off by chance, so that meshes that were made together do not renew together. Istio: CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR. */
  readonly jitter?: boolean
}

export interface RootRenewalOptions extends RootRenewalSettings {
  readonly client: Pick<KubernetesClient, 'get' | 'patch'>
  readonly namespace: string
  /** It leads, and no other change of authority is under way. */
  readonly mayRenew: () => boolean
  readonly now: () => number
  /** 0 ≤ n < 1. */
  readonly pick: () => number
  readonly log: Logger
}

const hourMs = 3_600_000

export function renewRoot(options: RootRenewalOptions): { close(): void } {
  const { mayRenew, log, pick, checkEveryMs = hourMs, jitter = true } = options
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const again = (ms: number): void => {
    if (closed) return
    timer = setTimeout(() => {
      void (mayRenew() ? check(options) : Promise.resolve()).catch((error: unknown) => log.error({ secret: ownSecret, code: error instanceof KithError ? error.code : 'UNEXPECTED', reason: (error as Error).message }, 'root of the mesh could not be renewed, trying again')).then(() => again(checkEveryMs))
    }, ms)
    timer.unref()
  }
  again(checkEveryMs + (jitter ? pick() * checkEveryMs : 0))
  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

async function check({ client, namespace, now, log, gracePercent = 20, rootLifetimeMs }: RootRenewalOptions): Promise<void> {
  const key = { apiVersion: 'v1', kind: 'Secret', namespace, name: ownSecret }
  const [secret, plugged] = await Promise.all([client.get(key), client.get({ ...key, name: pluggedInSecret })])
  if (secret === undefined || plugged !== undefined) return
  const authority = await authorityOfSecret(secret, `the secret ${namespace}/${ownSecret}`, now())
  if (!isNearItsEnd(authority.certificate, now(), gracePercent)) return
  const files = await renewedRootFiles(authority, now(), rootLifetimeMs)
  const { 'ca-key.pem': _key, ...certificates } = files
  await client.patch(key, 'merge', { metadata: { resourceVersion: secret.metadata.resourceVersion }, data: dataOf(certificates) })
  log.info({ secret: ownSecret, namespace, until: authority.certificate.notAfter.toISOString() }, 'root of the mesh nears its end, it was renewed')
}
