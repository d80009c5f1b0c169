// IST0107, IST0108, IST0125, IST0135: annotations of Istio on Namespaces, Services, Pods and Deployments; and on the pods that templates make, which bad values keep from being made.
// https://istio.io/latest/docs/reference/config/annotations/
import type { ApiObject } from '#api'
import { checkedAnnotations } from '#inject'
import { nearest } from '#lib/nearest.ts'
import type { Problem } from '#lib/problem.ts'
import { injectKey, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

type Place = 'Any' | 'Pod' | 'Service' | 'Namespace' | 'Ingress' | 'Gateway' | 'AuthorizationPolicy' | 'WorkloadEntry' | 'ServiceEntry' | 'GatewayClass'
interface Known { readonly on: readonly Place[]; readonly deprecated?: true }

const podNames = [
  'prometheus.istio.io/merge-metrics', 'sidecar.istio.io/rewriteAppHTTPProbers', 'sidecar.istio.io/proxyImage', 'sidecar.istio.io/proxyImageType', 'sidecar.istio.io/proxyCPU',
  'sidecar.istio.io/proxyCPULimit', 'sidecar.istio.io/proxyMemory', 'sidecar.istio.io/proxyMemoryLimit', 'sidecar.istio.io/interceptionMode', 'sidecar.istio.io/bootstrapOverride', 'sidecar.istio.io/userVolume',
  'sidecar.istio.io/userVolumeMount', 'sidecar.istio.io/logLevel', 'sidecar.istio.io/componentLogLevel', 'sidecar.istio.io/agentLogLevel',
  'sidecar.istio.io/nativeSidecar', 'sidecar.istio.io/statsHistogramBuckets', 'sidecar.istio.io/statsHistogramBins', 'sidecar.istio.io/statsEvictionInterval', 'sidecar.istio.io/statsFlushInterval',
  'status.sidecar.istio.io/port', 'readiness.status.sidecar.istio.io/initialDelaySeconds', 'readiness.status.sidecar.istio.io/periodSeconds', 'readiness.status.sidecar.istio.io/failureThreshold',
  'readiness.status.sidecar.istio.io/applicationPorts', 'traffic.sidecar.istio.io/includeOutboundIPRanges', 'traffic.sidecar.istio.io/excludeOutboundIPRanges', 'traffic.sidecar.istio.io/includeInboundPorts',
  'traffic.sidecar.istio.io/excludeInboundPorts', 'traffic.sidecar.istio.io/includeOutboundPorts', 'traffic.sidecar.istio.io/excludeOutboundPorts', 'traffic.sidecar.istio.io/excludeInterfaces',
  'istio.io/reroute-virtual-interfaces', 'proxy.istio.io/config', 'proxy.istio.io/overrides', 'inject.istio.io/templates', 'ambient.istio.io/redirection', 'ambient.istio.io/dns-capture', 'ambient.istio.io/bypass-inbound-capture',
]
const oldPodNames = [
  injectKey, 'sidecar.istio.io/extraStatTags', 'sidecar.istio.io/statsCompression', 'sidecar.istio.io/discoveryAddress', 'sidecar.istio.io/statsInclusionPrefixes', 'sidecar.istio.io/statsInclusionSuffixes',
  'sidecar.istio.io/statsInclusionRegexps', 'traffic.sidecar.istio.io/kubevirtInterfaces',
]
/** Istio's annotations: where each has its place. */
export const known = new Map<string, Known>([
  ...podNames.map((name): [string, Known] => [name, { on: ['Pod'] }]),
  ...oldPodNames.map((name): [string, Known] => [name, { on: ['Pod'], deprecated: true }]),
  ...['alpha.istio.io/kubernetes-serviceaccounts', 'alpha.istio.io/canonical-serviceaccounts'].map((name): [string, Known] => [name, { on: ['Service'], deprecated: true }]),
  ...['istio.io/autoRegistrationGroup', 'istio.io/workloadController', 'istio.io/connectedAt', 'istio.io/disconnectedAt'].map((name): [string, Known] => [name, { on: ['WorkloadEntry'] }]),
  ...['gateway.istio.io/name-override', 'gateway.istio.io/service-account', 'networking.istio.io/service-type', 'ambient.istio.io/waypoint-inbound-binding']
    .map((name): [string, Known] => [name, { on: ['Gateway', 'GatewayClass'] }]),
  ['galley.istio.io/analyze-suppress', { on: ['Any'] }],
  ['kubernetes.io/ingress.class', { on: ['Ingress'] }],
  ...['networking.istio.io/exportTo', 'traffic.istio.io/nodeSelector'].map((name): [string, Known] => [name, { on: ['Service'] }]),
  ...['networking.istio.io/traffic-distribution', 'istio.io/use-waypoint-canary-weight'].map((name): [string, Known] => [name, { on: ['Service', 'ServiceEntry', 'Namespace'] }]),
  ['topology.istio.io/controlPlaneClusters', { on: ['Namespace'] }],
  ['istio.io/dry-run', { on: ['AuthorizationPolicy'] }],
])

/** What injectors and controllers write, wherever it stands. */
const written: ReadonlySet<string> = new Set(['sidecar.istio.io/status', 'gateway.istio.io/controller-version', 'istio.io/rev'])
const isOurs = (name: string): boolean => !written.has(name) && (name === 'kubernetes.io/ingress.class' || (name.split('/')[0] as string).endsWith('istio.io'))

export function annotations(context: AnalysisContext): Problem[] {
  return [...placed(context), ...valuesOf(context)]
}

/** A sidecar injector refuses the pod. */
function valuesOf(context: AnalysisContext): Problem[] {
  const of = (object: ApiObject, given: Readonly<Record<string, string>> | undefined, path: string): Problem[] => Object.entries(given ?? {}).flatMap(([name, value]) => {
    const why = checkedAnnotations[name]?.(String(value))
    return why === undefined ? [] : [say('IST0125', 'warning', object, `${path}.${name}`, `Invalid annotation ${name}: ${why}`)]
  })
  return [
    ...context.all('Pod').flatMap((p) => of(p, p.metadata.annotations, 'metadata.annotations')),
    ...context.all('Deployment').flatMap((d) => of(d, d.spec.template?.metadata?.annotations, 'spec.template.metadata.annotations')),
  ]
}

function placed(context: AnalysisContext): Problem[] {
  const objects = (['Namespace', 'Service', 'Pod', 'Deployment'] as const).flatMap((kind) => [...context.all(kind)])
  return objects.flatMap((object) => Object.keys(object.metadata.annotations).filter(isOurs).flatMap((name): Problem[] => {
    const at = `metadata.annotations.${name}`
    const found = known.get(name)
    if (found === undefined) {
      const near = nearest(name, known.keys())
      return [say('IST0108', 'warning', object, at, `Unknown annotation: ${name}`, near === undefined ? undefined : `did you mean ${near}?`)]
    }
    const problems: Problem[] = []
    if (found.deprecated === true && !(name === injectKey && object.metadata.labels[injectKey] !== undefined)) {
      problems.push(say('IST0135', 'info', object, at, `Annotation "${name}" is deprecated`, name === injectKey ? 'use the label of the same name' : undefined))
    }
    if (!found.on.includes('Any') && !found.on.includes(object.kind as Place)) {
      problems.push(say('IST0107', 'warning', object, at, `Misplaced annotation: ${name} only works on ${found.on.join(', ')}`, object.kind === 'Deployment' && found.on.includes('Pod') ? 'put it into spec.template.metadata.annotations' : undefined))
    }
    return problems
  }))
}
