// The control plane of a cluster: the same as on one machine, with the API server behind it: objects, meshConfig, tokens, the authority, trust bundles, statuses.
// Law: what only one may do is done by the leader; the API server's loss takes nothing from a proxy that is connected.
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import type { MeshConfigSpec } from '#api'
import { tokenReviewer, type Authority } from '#ca'
import { watchKubernetes, type KubernetesWatch } from '#sources'
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../control-plane.ts'
import { clusterMeshConfig } from '../mesh-config-source.ts'
import type { Trust } from '../staged-authority.ts'
import { clusterAuthority } from './cluster-authority.ts'
import { isChosen, objectsOf } from './discovery-selectors.ts'
import { clusterCredentials } from './cluster-credentials.ts'
import { campaign, type Leadership } from './leader.ts'
import { planFindings } from './plan-findings.ts'
import { renewRoot, type RootRenewalSettings } from './root-renewal.ts'
import { stagingSecretShare } from './staging-secret.ts'
import { statusWriter } from './status-writer.ts'
import { bundleName, trustBundles } from './trust-bundles.ts'
import type { StartWebhooks, Webhooks } from './webhook-context.ts'

export interface InClusterOptions extends Pick<ControlPlaneOptions, 'listen' | 'statusPort' | 'certificateLifetimeMs' | 'staging'> {
  readonly client: KubernetesClient
  /** Where the control plane lives: ConfigMaps, Secrets and Leases of its own. */
  readonly namespace: string
  /** `default`, or the name of one among several. */
  readonly revision: string
  /** This replica: POD_NAME. */
  readonly me: string
  /** Admission: injection and validation. Default: none. */
  readonly webhooks?: { readonly start: StartWebhooks; readonly host: string; readonly port: number }
  /** Default true. */
  readonly writeStatus?: boolean
  readonly root?: RootRenewalSettings
  readonly log: Logger
}

export interface ClusterControlPlane extends ControlPlane {
  readonly leadership: Leadership
}

/** `istiod`, `istiod-canary` */
export function revisioned(name: string, revision: string): string {
  return revision === '' || revision === 'default' ? name : `${name}-${revision}`
}

export function serverNames(namespace: string, revision: string): readonly string[] {
  const names = new Set([revisioned('istiod', revision), 'istiod'])
  return [...new Set([...names].flatMap((n) => [`${n}.${namespace}.svc`, `${n}.${namespace}`, `${n}.${namespace}.svc.cluster.local`, n]).concat('istiod.istio-system.svc'))]
}

export async function startInCluster(options: InClusterOptions): Promise<ClusterControlPlane> {
  const { client, namespace, revision, me, log } = options
  const leadership: Leadership = campaign({ client, namespace, name: 'istio-leader', me, log })
  // A revision's webhooks are its own to keep; the rest is the mesh's, whose revisions share its authority.
  const webhookLeadership = options.webhooks === undefined ? undefined : campaign({ client, namespace, name: revisioned('istio-webhook-leader', revision), me, log })
  const bundles = trustBundles(client, namespace, log)
  const reviewer = tokenReviewer(client, Date.now)
  const listeners: ((roots: string) => void)[] = []
  let watch: KubernetesWatch | undefined
  let webhooks: Webhooks | undefined
  let roots = ''
  await bundles.settled
  const onTrust = (trust: Trust): void => {
    roots = trust.roots
    bundles.setRoots(roots)
    for (const listener of listeners) listener(roots)
  }
  const share = await stagingSecretShare({ client, namespace, me, leads: () => leadership.isLeader(), now: Date.now, log })
  const statuses = statusWriter({ client, log, on: options.writeStatus !== false })
  const plane: ControlPlane = await startControlPlane({
    listen: options.listen, statusPort: options.statusPort, reviewer, onlyKnownPods: true, serverNames: serverNames(namespace, revision), log, onTrust, ...(options.certificateLifetimeMs === undefined ? {} : { certificateLifetimeMs: options.certificateLifetimeMs }),
    // Proxies may hang on other replicas; where those can't say how they stand, time must do.
    staging: { leastMs: share === undefined ? 15_000 : 5000, ...(share === undefined ? {} : { share }), ...options.staging },
    objects: (onChange) => (watch = watchKubernetes(client, { log }, onChange)),
    scope: (objects, config) => objectsOf(objects, config, namespace),
    async meshConfig(onChange) {
      const choose = (config: MeshConfigSpec): void => bundles.setChosen((name, labels) => isChosen(config, namespace, name, labels))
      const source = await clusterMeshConfig(client, { namespace, name: revisioned('istio', revision) }, log, () => {
        choose(source.current())
        onChange()
      })
      choose(source.current())
      return source
    },
    authority: (trustDomain: string, onChange: (authority: Authority) => void) => {
      const held = bundles.former()
      return clusterAuthority({ client, namespace, trustDomain, ...(options.root?.rootLifetimeMs === undefined ? {} : { rootLifetimeMs: options.root.rootLifetimeMs }), now: Date.now, log, onChange, ...(held === undefined ? {} : { held }) })
    },
    credentials: (onChange) => clusterCredentials({ client, log, now: Date.now, onChange }),
    kinds: () => watch?.status() ?? [], clusterStatus: () => ({ me, revision, namespace, leads: leadership.isLeader(), roots: plane.authority.trust().step, bundle: bundleName }),
    leads: () => leadership.isLeader(),
    readyNotes: () => webhooks?.notes() ?? [],
    mayDebug: async (token) => {
      const caller = await reviewer.authenticate(token)
      return 'namespace' in caller && caller.namespace === namespace
    },
    onSnapshot(snapshot, problems) {
      const { config } = snapshot.mesh.options
      const mine = (watch?.statuses() ?? []).filter(({ key }) => isChosen(config, namespace, key.slice(0, key.indexOf('/')), snapshot.mesh.namespaces.get(key.slice(0, key.indexOf('/'))) ?? {}))
      statuses.take(mine, problems, (wanted) => planFindings(snapshot.mesh, wanted))
    },
  }).catch(async (error: unknown) => {
    // What has begun ends: whoever calls decides what comes next.
    bundles.close()
    statuses.close()
    await Promise.all([leadership.release(), webhookLeadership?.release(), share?.close()])
    throw error
  })
  leadership.watch((leads) => {
    bundles.setLeading(leads)
    statuses.setLeading(leads)
    plane.authority.wake()
  })
  const renewal = renewRoot({ ...options.root, client, namespace, mayRenew: () => leadership.isLeader() && plane.authority.trust().step === 'steady', now: Date.now, pick: Math.random, log })
  const { serving, snapshot, meshConfig, registry } = plane
  webhooks = webhookLeadership === undefined ? undefined : await options.webhooks?.start({
    client, namespace, revision, host: options.webhooks.host, port: options.webhooks.port, serving, leadership: webhookLeadership, snapshot, meshConfig, registry, log: log.child({ part: 'webhooks' }),
    onRoots(listener) {
      listeners.push(listener)
      listener(roots)
    },
  })
  return {
    ...plane, leadership,
    async stop(drainMs = 0) {
      await Promise.all([leadership.release(), webhookLeadership?.release()])
      bundles.close()
      statuses.close()
      renewal.close()
      // Pods are admitted until the end: meanwhile the API server hears that this one goes.
      await plane.stop(drainMs, async () => webhooks?.close())
      client.close()
    },
  }
}
