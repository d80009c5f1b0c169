// What an injection template gets, and what it gives: part of a pod, laid over the pod by strategic merge.
import type { PodOwner } from './owner.ts'
import type { InjectSettings } from './settings.ts'

export type Obj = Record<string, unknown>

export interface TemplateInput {
  readonly settings: InjectSettings
  readonly annotations: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  /** The pod's metadata and spec without what an earlier injection added. */
  readonly metadata: Readonly<Obj>
  readonly spec: Readonly<Obj>
  /** The application's own. */
  readonly containers: readonly Obj[]
  readonly namespace: string
  readonly owner: PodOwner
  readonly native: boolean
  readonly hold: boolean
  /** The user's own `istio-proxy` says which uid it runs as. */
  readonly ownUid: boolean
  readonly proxyUid: number
  readonly proxyGid: number
  /** The pod's own proxy.istio.io/config over the mesh's. */
  readonly proxyConfig: Readonly<Obj>
}

export interface PartialPod {
  readonly metadata?: Readonly<Obj>
  readonly spec?: Readonly<Obj>
}

export interface InjectionTemplate {
  readonly name: string
  /** Throws TemplateError. */
  render(input: TemplateInput): PartialPod
}
