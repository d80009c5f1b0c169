// What controllers make of objects: Deployments, StatefulSets, DaemonSets, Jobs, ReplicaSets, bare Pods → the pods that shall be. Pure.
// Law: the same objects give the same names; a pod changes its name with its template and with nothing else.
import { createHash } from 'node:crypto'
import { canonicalHash } from '#lib/canonical.ts'
import type { ApiObject, PodSpec, PodTemplate, WorkloadSpec } from '#api'

export interface DesiredPod {
  /** The slot that this pod fills: `Deployment/foo/httpbin/0`. */
  readonly slot: string
  readonly namespace: string
  readonly name: string
  /** Changes with everything that a running pod cannot take over. */
  readonly templateHash: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: PodSpec
  /** What the user wrote; its path to the pod's metadata. */
  readonly object: ApiObject
  readonly metadataPath: string
  /** As in the pod's ownerReferences; absent for a bare pod. */
  readonly owner?: { readonly apiVersion: string; readonly kind: string; readonly name: string }
  /** The workload as people name it: a Deployment, not its ReplicaSet. */
  readonly workload: { readonly apiVersion: string; readonly kind: string; readonly name: string }
  /** A Job's pod: it is done when its containers are. */
  readonly finishes: boolean
  /** How often a failed pod of a Job is tried again. */
  readonly backoffLimit: number
  readonly hostname: string
}

const controllers = new Set(['Deployment', 'ReplicaSet', 'StatefulSet', 'DaemonSet', 'Job'])

export function desiredPods(objects: readonly ApiObject[]): DesiredPod[] {
  return objects.flatMap((object) => {
    if (object.kind === 'Pod' && object.apiVersion === 'v1') return [barePod(object)]
    if (!controllers.has(object.kind)) return []
    if ((object.metadata.ownerReferences ?? []).some((o) => controllers.has(o.kind))) return []
    return fromTemplate(object)
  }).sort((a, b) => (a.slot < b.slot ? -1 : 1))
}

function barePod(object: ApiObject): DesiredPod {
  const { name, namespace, labels, annotations } = object.metadata
  const spec = object.spec as PodSpec
  return {
    slot: `Pod/${namespace}/${name}`, namespace, name, templateHash: shortHash({ labels, annotations, spec }), labels, annotations, spec, object, metadataPath: 'metadata',
    workload: { apiVersion: 'v1', kind: 'Pod', name }, finishes: false, backoffLimit: 0, hostname: spec.hostname ?? name,
  }
}

interface JobFields { readonly parallelism?: number; readonly completions?: number; readonly backoffLimit?: number }

function fromTemplate(object: ApiObject): DesiredPod[] {
  const spec = object.spec as WorkloadSpec & JobFields
  const template: PodTemplate | undefined = spec.template
  if (template?.spec === undefined) return []
  const { kind, apiVersion } = object
  const { name, namespace } = object.metadata
  const hash = shortHash(template)
  const count = kind === 'DaemonSet' ? 1 : kind === 'Job' ? Math.max(1, Math.min(spec.parallelism ?? 1, spec.completions ?? spec.parallelism ?? 1)) : (spec.replicas ?? 1)
  const replicaSet = `${name}-${hash}`
  const owner = kind === 'Deployment' ? { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: replicaSet } : { apiVersion, kind, name }
  const added = kind === 'Deployment' ? { 'pod-template-hash': hash } : kind === 'Job' ? { 'job-name': name } : {}
  return Array.from({ length: count }, (_, i) => {
    const slot = `${kind}/${namespace}/${name}/${i}`
    const pod = kind === 'StatefulSet' ? `${name}-${i}` : `${kind === 'Deployment' ? replicaSet : name}-${suffix(`${slot}/${hash}`)}`
    const ordinal = kind === 'StatefulSet' ? { 'statefulset.kubernetes.io/pod-name': pod, 'apps.kubernetes.io/pod-index': String(i) } : {}
    return {
      slot, namespace, name: pod, templateHash: hash, labels: { ...template.metadata?.labels, ...added, ...ordinal }, annotations: template.metadata?.annotations ?? {},
      spec: kind === 'StatefulSet' && spec.serviceName !== undefined ? { subdomain: spec.serviceName, ...template.spec } : (template.spec as PodSpec),
      object, metadataPath: 'spec.template.metadata', owner, workload: { apiVersion, kind, name }, finishes: kind === 'Job', backoffLimit: spec.backoffLimit ?? 6, hostname: template.spec?.hostname ?? pod,
    }
  })
}

/** Kubernetes leaves out vowels, so that no word comes of it, and what looks alike. */
const alphabet = 'bcdfghjklmnpqrstvwxz2456789'

function letters(bytes: Buffer, length: number): string {
  return Array.from({ length }, (_, i) => alphabet[(bytes[i] as number) % alphabet.length]).join('')
}

function shortHash(value: unknown): string {
  return letters(createHash('sha256').update(canonicalHash(value)).digest(), 10)
}

function suffix(seed: string): string {
  return letters(createHash('sha256').update(seed).digest(), 5)
}
