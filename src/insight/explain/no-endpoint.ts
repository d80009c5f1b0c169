// Why nothing answers for a service's port: the first of the links from Service to pod that is missing.
import { refTo } from '#api'
import { formatRef } from '#lib/problem.ts'
import {
  endpointsOf,
  selectorCovers,
  selectWorkloads,
  targetPortOn,
  type Labels,
  type MeshService,
  type ServicePort,
  type Workload,
} from '#mesh'
import type { End, Ends } from './ends.ts'
import type { Question } from './question.ts'

/** An end with its facts. */
export type Ending = { [K in End]: readonly [K, Ends[K]] }[End]

export const portsOf = (service: MeshService): string[] =>
  service.ports
    .filter((p) => p.number !== 0)
    .map((p) =>
      p.name === '' ? String(p.number) : `${p.number} (${p.name}${p.protocol === 'udp' ? ', UDP' : ''})`,
    )

/** What the port is for, and what the call is. */
export function transports(
  port: ServicePort,
  { target }: Pick<Question, 'target'>,
): readonly ['TCP' | 'UDP', 'TCP' | 'UDP'] {
  return [port.protocol === 'udp' ? 'UDP' : 'TCP', target.scheme === 'udp' ? 'UDP' : 'TCP']
}

/** `subset`: of a DestinationRule; null: none was asked for. */
export function noEndpoint(q: Question, service: MeshService, number: number, subset: string | null): Ending {
  const { host } = service
  const index = service.ports.findIndex((p) => p.number === number)
  const port = service.ports[index]
  const ref = (path: string) => refTo(service.object, path)
  if (port === undefined)
    return ['no-such-port', { host, port: number, has: portsOf(service), source: ref('spec.ports') }]
  const [has, called] = transports(port, q)
  if (has !== called)
    return [
      'other-transport',
      { host: q.target.host, port: number, has, called, source: ref(`spec.ports[${index}]`) },
    ]
  const { selector } = service
  const of = service.origin === 'entry' ? 'spec.workloadSelector' : 'spec.selector'
  if (selector === undefined)
    return service.origin === 'entry'
      ? ['entry-without-endpoints', { host, port: number, source: ref('spec') }]
      : ['no-selector', { host, port: number, source: ref('spec') }]
  const pods = selectWorkloads(q.mesh, service.namespace, selector)
  if (pods.length === 0)
    return [
      'no-pod-selected',
      { host, selector: textOf(selector), near: nearLabels(q, service.namespace, selector), source: ref(of) },
    ]
  const [first] = pods as readonly [Workload, ...Workload[]]
  const running = pods.filter((w) => w.addresses.length > 0)
  if (running.length === 0)
    return ['scaled-to-zero', { host, workload: nameOf(first), source: refTo(first.object, 'spec.replicas') }]
  const target = port.targetPort
  if (typeof target === 'string' && running.every((w) => targetPortOn(w, port) === undefined))
    return [
      'no-target-port',
      {
        host,
        port: number,
        targetPort: target,
        pods: running.map(nameOf),
        source: ref(`spec.ports[${index}].targetPort`),
      },
    ]
  const chosen = subset === null ? undefined : subsetOf(q, service, subset)
  const labels = chosen?.value.labels ?? {}
  if (
    chosen !== undefined &&
    !endpointsOf(q.mesh, service, port).some((e) => selectorCovers(labels, e.labels))
  ) {
    return [
      'subset-without-pods',
      {
        host,
        subset: subset ?? '',
        labels: textOf(labels),
        near: nearLabels(q, service.namespace, labels, running),
        source: refTo(chosen.from, `spec.subsets[${chosen.index}].labels`),
      },
    ]
  }
  const waiting = running.filter((w) => !w.ready)
  return [
    'no-pod-ready',
    {
      host,
      port: number,
      pods: (waiting.length === 0 ? running : waiting).map(nameOf),
      source: refTo((waiting[0] ?? first).object, ''),
    },
  ]
}

function subsetOf(q: Question, service: MeshService, name: string) {
  return q.context.ruleFor(service)?.subsets.find((s) => s.value.name === name)
}

const nameOf = (w: Workload): string => `${w.kind} ${w.namespace}/${w.pod}`
const textOf = (labels: Labels): string =>
  Object.entries(labels)
    .map(([k, v]) => `${k}=${v}`)
    .join(', ')

/** The workload that misses by the fewest labels; null: none has any of them. */
function nearLabels(
  { mesh }: Question,
  namespace: string,
  wanted: Labels,
  among: readonly Workload[] = mesh.workloads.filter((w) => w.namespace === namespace),
): string | null {
  const misses = among
    .map((w) => ({ w, off: Object.entries(wanted).filter(([k, v]) => w.labels[k] !== v) }))
    .filter(({ w, off }) => off.every(([k]) => w.labels[k] !== undefined))
    .sort((a, b) => a.off.length - b.off.length)
  const best = misses[0]
  const off = best?.off[0]
  if (best === undefined || off === undefined) return null
  const [label, value] = off
  return `label ${label} of ${formatRef(refTo(best.w.object, `${best.w.podPath}metadata.labels.${label}`))} is ${JSON.stringify(best.w.labels[label])}, and ${JSON.stringify(value)} is asked for`
}
