// `[kind/]name[.namespace]` → the workload that is meant.
import { KithError } from '#lib/errors.ts'
import { nearest } from '#lib/nearest.ts'
import type { Mesh, Workload } from '#mesh'

const kinds: Readonly<Record<string, string>> = {
  pod: 'Pod', po: 'Pod', pods: 'Pod', deploy: 'Deployment', deployment: 'Deployment', deployments: 'Deployment', sts: 'StatefulSet', statefulset: 'StatefulSet', ds: 'DaemonSet', daemonset: 'DaemonSet',
  rs: 'ReplicaSet', replicaset: 'ReplicaSet', job: 'Job', cronjob: 'CronJob', cj: 'CronJob',
}

/** The first pod of that name; throws NO_SUCH_WORKLOAD with the nearest name, AMBIGUOUS_WORKLOAD where workloads of several kinds have it. */
export function findWorkload(mesh: Mesh, text: string, namespace = 'default'): Workload {
  if (mesh.workloads.length === 0) throw new KithError('NO_SUCH_WORKLOAD', `no workload was read, so there is no "${text}"; what is read must hold Deployments, Pods and their like`)
  const [before, after] = text.includes('/') ? (text.split('/', 2) as [string, string]) : ['', text]
  const dot = after.lastIndexOf('.')
  const name = dot === -1 ? after : after.slice(0, dot)
  const ns = dot === -1 ? namespace : after.slice(dot + 1)
  const kind = kinds[before.toLowerCase()]
  const turned = kind === undefined && mesh.workloads.some((w) => w.namespace === before && (w.name === after || w.pod === after)) ? `; did you mean ${after}.${before}?` : ''
  if (before !== '' && kind === undefined) throw new KithError('WRONG_WORKLOAD', turned !== '' ? `"${before}" is no kind of workload${turned}` : `"${before}" is no kind of workload; there are ${[...new Set(Object.keys(kinds))].slice(0, 8).join(', ')} …`)
  const here = mesh.workloads.filter((w) => w.namespace === ns)
  const found = here.filter((w) => (kind === 'Pod' ? w.pod === name : kind === undefined ? w.name === name || w.pod === name : w.name === name && (w.kind === kind || w.kind === 'Pod')))
  const [first] = found
  if (first !== undefined) {
    const named = [...new Set(found.filter((w) => w.name === name).map((w) => w.kind))]
    if (kind === undefined && named.length > 1) throw new KithError('AMBIGUOUS_WORKLOAD', `several workloads are called "${name}" in namespace "${ns}"; write ${named.map((k) => `${k.toLowerCase()}/${name}.${ns}`).join(' or ')}`)
    return first
  }
  const elsewhere = [...new Set(mesh.workloads.filter((w) => w.name === name).map((w) => w.namespace))].sort()
  if (elsewhere.length > 0) throw new KithError('NO_SUCH_WORKLOAD', `no workload "${name}" in namespace "${ns}"; there is ${elsewhere.map((n) => `${name}.${n}`).join(', ')}`)
  const near = nearest(`${name}.${ns}`, mesh.workloads.map((w) => `${w.name}.${w.namespace}`)) ?? nearest(name, mesh.workloads.map((w) => w.name))
  throw new KithError('NO_SUCH_WORKLOAD', `no workload "${name}" in namespace "${ns}"${near === undefined ? '' : `; did you mean ${near}?`}`)
}
