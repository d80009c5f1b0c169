// What bears on one pod or Service, in istioctl's words: ports, Services, DestinationRules, VirtualServices, the effective PeerAuthentication; and, what istioctl can't say, why.
// Istio: istioctl/pkg/describe/describe.go.
import type { DestinationRule, PodSpec, VirtualService } from '#api'
import { resolveHost, selectorCovers, targetPortOn, workloadsOf, type Labels, type Mesh, type MeshService, type Workload } from '#mesh'
import { decideMtls, planContext, planServer, policiesFor, servicesSelecting, virtualServicesFor, type PlanContext } from '#plan'
import { reasonLines } from '../explain/text.ts'

const rule = '--------------------'

/** `name`, or `name.namespace` where the reader looks at another namespace. */
type NameOf = (metadata: { readonly name: string; readonly namespace: string }) => string
const nameFrom = (viewed: string): NameOf => ({ name, namespace }) => (namespace === viewed ? name : `${name}.${namespace}`)

/** `viewed`: the namespace of the reader. */
export function describePod(mesh: Mesh, workload: Workload, viewed: string): string {
  const nameOf = nameFrom(viewed)
  const context = planContext(mesh, workload)
  const services = servicesSelecting(context, workload)
  return [
    ...podLines(workload, nameOf),
    ...(services.length === 0 ? [`Warning: No Kubernetes Services select pod ${nameOf(workload.object.metadata)} (see https://istio.io/latest/docs/ops/deployment/application-requirements/ )`] : []),
    ...services.flatMap((s) => [rule, ...serviceLines(context, s, [workload], nameOf)]), rule, ...peerLines(mesh, workload, nameOf), ...accessLines(context, nameOf),
  ].join('\n') + '\n'
}

export function describeService(mesh: Mesh, service: MeshService, viewed: string): string {
  const nameOf = nameFrom(viewed)
  const pods = workloadsOf(mesh, service)
  const first = pods[0]
  if (first === undefined) return [`Service: ${nameOf(service)}`, ...portLines(service, undefined), 'No pods answer for it.'].join('\n') + '\n'
  // Pods that differ in what they take are told apart: a caller meets any of them.
  const lines = serviceLines(planContext(mesh, first), service, pods, nameOf)
  const byMode = Map.groupBy(pods, (p) => JSON.stringify(peerLines(mesh, p, nameOf)))
  return [...lines, ...[...byMode.values()].flatMap((group) => [rule, ...(byMode.size > 1 ? [`Pods ${group.map((p) => p.pod).join(', ')}:`] : []), ...peerLines(mesh, group[0] as Workload, nameOf)])].join('\n') + '\n'
}

function podLines(workload: Workload, nameOf: NameOf): string[] {
  const { object } = workload
  const spec = object.spec as PodSpec
  const status = (object.raw['status'] ?? {}) as { phase?: string; containerStatuses?: { name: string; ready?: boolean }[] }
  const ports = object.kind !== 'Pod' ? workload.ports.map((p) => String(p.port)) : [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter((c) => c.name === 'istio-proxy')].flatMap((c) => (c.ports ?? []).map((p) => `${p.containerPort}${(p.protocol ?? 'TCP') === 'TCP' ? '' : `/${p.protocol}`} (${c.name})`))
  const pod = nameOf(object.metadata)
  const lines = [`Pod: ${pod}`, `   Pod Revision: ${revisionOf(workload)}`, ports.length === 0 ? '   Pod does not expose ports' : `   Pod Ports: ${ports.join(', ')}`]
  if (status.phase !== undefined && status.phase !== 'Running') return [...lines, `   Pod is not Running (${status.phase})`]
  for (const c of status.containerStatuses ?? []) if (c.ready === false) lines.push(`WARNING: Pod ${pod} Container ${c.name} NOT READY`)
  if (!workload.sidecar.value) lines.push(`WARNING: ${pod} is not part of mesh; no Istio sidecar`, ...reasonLines(workload.sidecar.because))
  return lines
}

function revisionOf({ annotations, labels }: Workload): string {
  const own = annotations['istio.io/rev'] ?? labels['istio.io/rev']
  if (own !== undefined) return own
  try {
    const status = JSON.parse(annotations['sidecar.istio.io/status'] ?? '{}') as { revision?: unknown }
    return typeof status.revision === 'string' ? status.revision : ''
  } catch {
    return ''
  }
}

function serviceLines(context: PlanContext, service: MeshService, pods: readonly Workload[], nameOf: NameOf): string[] {
  const merged = context.ruleFor(service)
  const labels = pods.map((p) => p.labels)
  return [
    `Service: ${nameOf(service)}`, ...portLines(service, pods[0]),
    ...(merged?.from ?? []).flatMap((r) => destinationRuleLines(r, labels, nameOf)),
    ...virtualServicesFor(context, service).flatMap((v) => virtualServiceLines(v, service, context, nameOf)),
  ]
}

function portLines(service: MeshService, pod: Workload | undefined): string[] {
  return service.ports.filter((p) => p.protocol !== 'udp').map((port) => {
    const target = pod === undefined ? undefined : targetPortOn(pod, port)
    const head = `   Port: ${port.name}${port.name === '' ? '' : ' '}${port.number}/${port.protocol === 'auto' ? 'auto-detect' : port.protocol.toUpperCase()}`
    return target === undefined ? `${head} ${pod === undefined ? `targets ${port.targetPort}` : `targets "${port.targetPort}", which no container of the pod declares`}` : `${head} targets pod port ${target}`
  })
}

function destinationRuleLines(object: DestinationRule, pods: readonly Labels[], nameOf: NameOf): string[] {
  const { spec } = object
  const lines = [`DestinationRule: ${nameOf(object.metadata)} for "${spec.host ?? ''}"`]
  const [matching, others] = [true, false].map((wanted) => (spec.subsets ?? []).filter((s) => pods.some((l) => selectorCovers(s.labels ?? {}, l)) === wanted).map((s) => s.name ?? '')) as [string[], string[]]
  if (matching.length + others.length > 0) {
    if (matching.length === 0) lines.push(`   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets ${others.join(',')})`)
    lines.push(`   Matching subsets: ${matching.join(',')}`)
    if (others.length > 0) lines.push(`      (Non-matching subsets ${others.join(',')})`)
  }
  const policy = spec.trafficPolicy
  if (policy === undefined) return [...lines, '   No Traffic Policy']
  if (policy.tls !== undefined) lines.push(`   Traffic Policy TLS Mode: ${policy.tls.mode ?? 'DISABLE'}`)
  lines.push(...policiesLine(policy, '   '))
  if (policy.portLevelSettings !== undefined) {
    lines.push('   Port Level Settings:')
    for (const p of policy.portLevelSettings) lines.push(`    ${p.port?.number ?? 0}:`, ...(p.tls === undefined ? [] : [`      TLS Mode: ${p.tls.mode ?? 'DISABLE'}`]), ...policiesLine(p, '      '))
  }
  return lines
}

function policiesLine(policy: { readonly loadBalancer?: unknown; readonly connectionPool?: unknown; readonly outlierDetection?: unknown }, indent: string): string[] {
  const named = [policy.loadBalancer !== undefined && 'load balancer', policy.connectionPool !== undefined && 'connection pool', policy.outlierDetection !== undefined && 'outlier detection'].filter((n) => n !== false)
  return named.length === 0 ? [] : [`${indent}Policies: ${named.join('/')}`]
}

function virtualServiceLines(object: VirtualService, service: MeshService, { mesh }: PlanContext, nameOf: NameOf): string[] {
  const reaches = (hosts: readonly (string | undefined)[]): boolean => hosts.some((h) => resolveHost(h ?? '', object.metadata.namespace, mesh.options.domain) === service.host)
  const routes = [...(object.spec.http ?? []), ...(object.spec.tls ?? []), ...(object.spec.tcp ?? [])]
  const reaching = routes.filter((r) => reaches((r.route ?? []).map((d) => d.destination?.host)))
  const lines = [`VirtualService: ${nameOf(object.metadata)}`]
  for (const route of reaching) {
    for (const d of route.route ?? []) {
      if (!reaches([d.destination?.host])) continue
      lines.push(`   Route to host "${d.destination?.host ?? ''}"${d.destination?.subset === undefined ? '' : ` subset "${d.destination.subset}"`}${(route.route ?? []).length > 1 ? ` with weight ${d.weight ?? 0}` : ''}${(route.match ?? []).length === 0 ? '' : ` where ${matchText(route.match ?? [])}`}`)
    }
  }
  if (reaching.length < routes.length) lines.push(`   ${routes.length - reaching.length} additional destination(s) that will not reach this pod`)
  return lines
}

function matchText(matches: readonly object[]): string {
  return matches.map((m) => Object.entries(m).filter(([k]) => k !== 'name').map(([k, v]) => `${k} ${JSON.stringify(v).replaceAll('"', '')}`).join(' and ')).join(', or ')
}

function peerLines(mesh: Mesh, workload: Workload, nameOf: NameOf): string[] {
  if (!workload.sidecar.value) return ['Effective PeerAuthentication: none applies without a sidecar; plaintext is taken']
  const general = decideMtls(mesh, workload, null)
  const inForce = policiesFor(mesh, workload)
  const ports = Object.keys(inForce.workload[0]?.spec.portLevelMtls ?? {}).map(Number)
  const applied = [inForce.workload[0], inForce.namespace[0], inForce.mesh[0]].filter((p) => p !== undefined)
  return [
    'Effective PeerAuthentication:', `   Workload mTLS mode: ${general.value}`, ...indented(reasonLines(general.because)),
    ...(ports.length === 0 ? [] : ['   Port Level mTLS mode:', ...ports.flatMap((port) => {
      const own = decideMtls(mesh, workload, port)
      return [`      ${port}: ${own.value}`, ...indented(reasonLines(own.because.slice(0, 1)))]
    })]),
    ...(applied.length === 0 ? [] : ['Applied PeerAuthentication:', `   ${applied.map((p) => nameOf(p.metadata)).join(', ')}`]),
  ]
}

function accessLines(context: PlanContext, nameOf: NameOf): string[] {
  const { authorization } = planServer(context)
  if (authorization === undefined) return []
  const named = (policies: readonly { readonly ref: { readonly name: string; readonly namespace: string }; readonly dryRun: boolean }[]): string => policies.map((p) => `${nameOf(p.ref)}${p.dryRun ? ' (dry run)' : ''}`).join(', ')
  return ['RBAC policies:', ...(authorization.deny.length === 0 ? [] : [`   DENY: ${named(authorization.deny)}`]), ...((authorization.audit ?? []).length === 0 ? [] : [`   AUDIT: ${named(authorization.audit ?? [])}`]), ...(authorization.allow.length === 0 ? [] : [`   ALLOW: ${named(authorization.allow)}`])]
}

const indented = (lines: readonly string[]): string[] => lines.map((l) => `    ${l}`)
