// KITH0132: Jobs whose sidecar goes on running, so that they never complete. A native sidecar ends with its
// pod's own containers. Pure. https://istio.io/latest/blog/2023/native-sidecars/ and
// https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
import { isRecord, refTo, type ApiObject, type PodSpec } from '#api'
import { nativeSetting, nativeSidecars } from '#inject'
import type { Problem } from '#lib/problem.ts'
import type { Workload } from '#mesh'

const native = 'sidecar.istio.io/nativeSidecar'
const help = `let the sidecar be native (${native}: "true", Kubernetes 1.29 or later), end it from the job with a POST to http://localhost:15020/quitquitquit, or leave the Job out of the mesh (sidecar.istio.io/inject: "false")`

/** `objects`: Nodes among them say how old their kubelets are. */
export function jobsThatWait(objects: readonly ApiObject[], workloads: readonly Workload[]): Problem[] {
  const kubelets = new Map(
    objects
      .flatMap((o) => (o.kind === 'Node' ? [[o.metadata.name, kubeletOf(o)] as const] : []))
      .filter(([, version]) => version !== ''),
  )
  return workloads
    .filter((w) => w.sidecar.value && isOfJob(w))
    .flatMap((w): Problem[] => {
      const setting = nativeSetting(w.annotations[native])
      const running = w.observed && w.object.kind === 'Pod'
      const classic = running ? hasProxy(w.spec.containers) : !nativeSidecars(setting, kubelets, undefined)
      if (!classic) return []
      const unknown = !running && setting === 'auto' && kubelets.size === 0
      const message = `a sidecar that is an ordinary container goes on running when the job is done, and the Job never completes${unknown ? '; it is one unless every kubelet is 1.33 or later' : ''}`
      return [
        {
          code: 'KITH0132',
          severity: unknown ? 'info' : 'warning',
          ref: refTo(w.object, running ? 'spec.containers' : `${w.podPath}metadata`),
          message,
          help,
        },
      ]
    })
}

function isOfJob({ object }: Workload): boolean {
  return (
    object.kind === 'Job' ||
    object.kind === 'CronJob' ||
    (object.metadata.ownerReferences ?? []).some((o) => o.kind === 'Job')
  )
}

const hasProxy = (containers: PodSpec['containers']): boolean =>
  (containers ?? []).some((c) => c.name === 'istio-proxy')

function kubeletOf({ raw }: ApiObject): string {
  const status = isRecord(raw['status']) ? raw['status'] : {}
  const info = isRecord(status['nodeInfo']) ? status['nodeInfo'] : {}
  return String(info['kubeletVersion'] ?? '')
}
