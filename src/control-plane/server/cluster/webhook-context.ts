// What webhooks get of the control plane that they belong to. server/webhooks makes them, start-in-cluster starts and ends them.
import type { Registry } from 'prom-client'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import type { MeshConfigSpec } from '#api'
import type { ServingCertificate } from '../serving-certificate.ts'
import type { Snapshot } from '../snapshot.ts'
import type { Leadership } from './leader.ts'

export interface WebhookContext {
  readonly client: KubernetesClient
  readonly namespace: string
  readonly revision: string
  /** Where HTTPS is served. */
  readonly host: string
  readonly port: number
  /** `current`: the pair to serve with (names of the Service istiod[-revision]); `addIdentityCertificateListener` hears of each new one. */
  readonly serving: ServingCertificate
  /** PEM that verifies it, for `caBundle`: called at once and after each change. While an authority changes it holds both roots. */
  onRoots(listener: (roots: string) => void): void
  /** Who patches caBundle. */
  readonly leadership: Leadership
  /** `mesh.namespaces`: namespace → labels, as last known. */
  readonly snapshot: () => Snapshot | undefined
  readonly meshConfig: () => MeshConfigSpec
  readonly registry: Registry
  readonly log: Logger
}

export interface Webhooks {
  /** Sentences for /ready: webhooks that the API server can't call. */
  notes(): readonly string[]
  close(): Promise<void> | void
}

export type StartWebhooks = (context: WebhookContext) => Promise<Webhooks>
