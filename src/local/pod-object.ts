// The Pod as an API server would hold it: whole, with the sidecar that injection added and with its status. Pure.
import type { DesiredPod } from './desired-pods.ts'
import type { ContainerView } from './types.ts'

export interface PodFacts {
  readonly uid: string
  readonly address: string
  readonly node: string
  readonly createdAt: string
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed'
  readonly ready: boolean
  readonly terminating: boolean
  readonly injected: boolean
  readonly containers: readonly ContainerView[]
}

export const sidecarContainer = 'istio-proxy'

/** Istio's canonical name: labels first, the workload's own name last. */
export function canonicalName(pod: DesiredPod): string {
  const l = pod.labels
  return (l['service.istio.io/canonical-name'] ?? l['app.kubernetes.io/name'] ?? l['app'] ?? pod.workload.name).slice(0, 63)
}

export function canonicalRevision(pod: DesiredPod): string {
  const l = pod.labels
  return l['service.istio.io/canonical-revision'] ?? l['app.kubernetes.io/version'] ?? l['version'] ?? 'latest'
}

/** The labels that the pod really has: what injection adds is among them. */
export function podLabels(pod: DesiredPod, injected: boolean): Record<string, string> {
  if (!injected) return { ...pod.labels }
  return { 'security.istio.io/tlsMode': 'istio', 'service.istio.io/canonical-name': canonicalName(pod), 'service.istio.io/canonical-revision': canonicalRevision(pod), ...pod.labels }
}

export function podObject(pod: DesiredPod, facts: PodFacts): Record<string, unknown> {
  const containers = (pod.spec.containers ?? []).map((c) => ({ ...c }))
  const proxy = { name: sidecarContainer, image: 'kith', ports: [{ containerPort: 15090, protocol: 'TCP', name: 'http-envoy-prom' }] }
  const status = JSON.stringify({ initContainers: [], containers: [sidecarContainer], volumes: ['istio-token'], revision: 'default' })
  const condition = (type: string, holds: boolean) => ({ type, status: holds ? 'True' : 'False' })
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: pod.name, namespace: pod.namespace, uid: facts.uid, creationTimestamp: facts.createdAt, labels: podLabels(pod, facts.injected),
      annotations: { ...pod.annotations, ...(facts.injected ? { 'sidecar.istio.io/status': status } : {}) },
      ...(pod.owner === undefined ? {} : { ownerReferences: [{ ...pod.owner, controller: true, blockOwnerDeletion: true }] }),
      ...(facts.terminating ? { deletionTimestamp: facts.createdAt } : {}),
    },
    spec: { ...pod.spec, serviceAccountName: serviceAccountOf(pod), nodeName: facts.node, hostname: pod.hostname, containers: facts.injected ? [...containers, proxy] : containers },
    status: {
      phase: facts.phase, podIP: facts.address, podIPs: [{ ip: facts.address }], hostIP: facts.address, startTime: facts.createdAt,
      conditions: [condition('PodScheduled', true), condition('Initialized', true), condition('ContainersReady', facts.ready), condition('Ready', facts.ready && !facts.terminating)],
      containerStatuses: facts.containers.map((c) => ({ name: c.name, ready: c.ready, restartCount: c.restarts, state: { [c.status === 'Running' ? 'running' : c.status === 'Completed' ? 'terminated' : 'waiting']: { reason: c.status } } })),
    },
  }
}

export function serviceAccountOf(pod: DesiredPod): string {
  return pod.spec.serviceAccountName || pod.spec.serviceAccount || 'default'
}
