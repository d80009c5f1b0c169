// IST0128, IST0129: TLS that verifies nobody. IST0173, IST0174: hosts that nobody knows, subsets without pods.
import type { ClientTls } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext, Labels } from '../context.ts'
import { LabelIndex } from '../label-index.ts'
import { say } from '../problem.ts'

export function destinationRuleCertificates(context: AnalysisContext): Problem[] {
  return context.all('DestinationRule').flatMap((rule): Problem[] => {
    const { spec } = rule
    // A credential counts where the rule selects workloads, and may bring the CA.
    const trusted = (tls: ClientTls | undefined): boolean =>
      (tls?.mode !== 'SIMPLE' && tls?.mode !== 'MUTUAL') || (tls.caCertificates ?? '') !== '' || ((tls.credentialName ?? '') !== '' && spec.workloadSelector !== undefined)
    const message = (tls: ClientTls | undefined): string => `TLS mode ${tls?.mode} to ${spec.host ?? ''} without caCertificates: only the system’s roots are trusted`
    const help = 'set caCertificates to the file of the CA that signs the server’s certificate'
    const policy = spec.trafficPolicy
    return [
      ...(trusted(policy?.tls) ? [] : [say('IST0128', 'warning', rule, 'spec.trafficPolicy.tls', message(policy?.tls), help)]),
      ...(policy?.portLevelSettings ?? []).flatMap((level, i) => (trusted(level.tls) ? [] : [say('IST0129', 'warning', rule, `spec.trafficPolicy.portLevelSettings[${i}].tls`, message(level.tls), help)])),
    ]
  })
}

const hostname = 'kubernetes.io/hostname'
const topology = ['topology.kubernetes.io/region', 'topology.kubernetes.io/zone', 'topology.istio.io/subzone']

export function destinationRuleHosts(context: AnalysisContext): Problem[] {
  let pods: LabelIndex | undefined
  let templates: LabelIndex | undefined
  return context.all('DestinationRule').flatMap((rule): Problem[] => {
    const { spec, metadata } = rule
    const host = spec.host ?? ''
    // That the host is missing is said already.
    if (host === '') return []
    const service = context.services.find(metadata.namespace, spec.exportTo, host)
    const covers = service === undefined && host.startsWith('*') && context.services.has(metadata.namespace, spec.exportTo, host)
    if (service === undefined && !covers) return [say('IST0174', 'warning', rule, 'spec.host', `The host ${host} defined in the DestinationRule does not match any services in the mesh`)]
    return (spec.subsets ?? []).flatMap((subset, i): Problem[] => {
      pods ??= new LabelIndex(podLabels(context))
      templates ??= new LabelIndex(context.templates.map((t) => t.labels))
      const selector = { ...service?.selector, ...subset.labels }
      return pods.has(selector) || templates.has(beforeScheduling(selector)) ? [] : [say('IST0173', 'error', rule, `spec.subsets[${i}]`, `The Subset ${subset.name ?? ''} defined in the DestinationRule does not select any pods`)]
    })
  })
}

/** Without the labels that a pod gets from its node: a template may be scheduled on any. */
function beforeScheduling(selector: Labels): Labels {
  return Object.fromEntries(Object.entries(selector).filter(([key]) => key !== hostname && !topology.includes(key)))
}

/** Pods' labels with those that the registry adds from their node. */
function podLabels(context: AnalysisContext): Labels[] {
  const nodes = new Map(context.all('Node').map((n) => [n.metadata.name, n.metadata.labels]))
  return context.all('Pod').map((pod) => {
    const name = pod.spec.nodeName ?? ''
    if (name === '') return pod.metadata.labels
    const node = nodes.get(name) ?? {}
    // A zone without region is none.
    const known = topology.findIndex((t) => (node[t] ?? '') === '')
    const added = topology.slice(0, known === -1 ? topology.length : known)
    return { ...pod.metadata.labels, ...Object.fromEntries(added.map((t) => [t, node[t] as string])), [hostname]: name }
  })
}
