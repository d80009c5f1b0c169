// KITH0124: namespaces whose Pod Security level refuses the pods that injection makes there.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/: neither baseline nor restricted allows NET_ADMIN and NET_RAW, which the init container istio-init adds.
import { decideInjection } from '#inject'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext, TemplatedPod } from '../context.ts'
import { say } from '../problem.ts'
import { injectorValues } from './injection-image.ts'

const enforce = 'pod-security.kubernetes.io/enforce'

export function podSecurity(context: AnalysisContext): Problem[] {
  return context.all('Namespace').flatMap((namespace): Problem[] => {
    const { name, labels } = namespace.metadata
    const level = labels[enforce]
    if (level !== 'baseline' && level !== 'restricted') return []
    const revision = labels['istio-injection'] === undefined ? labels['istio.io/rev'] : undefined
    // A CNI plugin redirects: there is no such init container.
    if (injectorValues(context, revision)?.cni === true) return []
    const own = context.workloads.filter((w) => w.namespace === name)
    const refused = own.filter((w) => needsInitContainer(w, labels, revision))
    const asks = labels['istio-injection'] === 'enabled' || revision !== undefined
    if (refused.length === 0 && (!asks || own.length > 0)) return []
    const whose = refused.length === 0 ? '' : ` (${[...new Set(refused.map((w) => w.object.metadata.name))].slice(0, 3).join(', ')}${refused.length > 3 ? ' …' : ''})`
    return [say('KITH0124', 'warning', namespace, `metadata.labels.${enforce}`,
      `Pod Security ${level} refuses every pod here that gets a sidecar${whose}: the init container istio-init, which redirects its traffic, needs NET_ADMIN and NET_RAW`,
      `write ${enforce}: privileged, or let a CNI plugin redirect (pilot.cni.enabled)`)]
  })
}

/** It will be injected, and its traffic redirected from within the pod. A pod that runs was let in. */
function needsInitContainer({ object, labels, annotations, spec, namespace }: TemplatedPod, namespaceLabels: Readonly<Record<string, string>>, revision: string | undefined): boolean {
  if (annotations['sidecar.istio.io/interceptionMode'] === 'NONE') return false
  const status = object.kind === 'Pod' ? object.raw['status'] : undefined
  if (typeof status === 'object' && status !== null && 'podIP' in status) return false
  const asked = revision ?? (namespaceLabels['istio-injection'] === undefined ? labels['istio.io/rev'] : undefined)
  return decideInjection({ labels, annotations, namespace, namespaceLabels, hostNetwork: spec?.hostNetwork === true }, asked === undefined ? {} : { revision: asked }).value
}
