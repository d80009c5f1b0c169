// IST0102, IST0103, IST0123, IST0148: who gets no sidecar.
import type { Problem } from '#lib/problem.ts'
import { injectKey, isSystemNamespace, proxyContainer, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { injectorValues } from './injection-image.ts'

const injectionLabel = 'istio-injection'
const revisionLabel = 'istio.io/rev'
const dataplaneLabel = 'istio.io/dataplane-mode'

export function injection(context: AnalysisContext): Problem[] {
  const problems: Problem[] = []
  const injected = new Set<string>()
  for (const namespace of context.all('Namespace')) {
    const { name, labels } = namespace.metadata
    if (name === context.rootNamespace || isSystemNamespace(name)) continue
    const label = labels[injectionLabel]
    const others = [revisionLabel, dataplaneLabel].filter((l) => labels[l] !== undefined && (label === undefined || label === 'enabled'))
    const all = [...(label === undefined ? [] : [injectionLabel]), ...others]
    if (all.length > 1) problems.push(say('IST0123', 'warning', namespace, `metadata.labels.${others[0] ?? ''}`, `The namespace has more than one label for injection: ${all.map((l) => `${l}=${labels[l] ?? ''}`).join(', ')}`, 'leave one of them'))
    if (labels[dataplaneLabel] === 'ambient') continue
    if ((label ?? '') === '' && labels[revisionLabel] === undefined) {
      if (injectorValues(context, undefined)?.byDefault === true) problems.push(say('IST0148', 'info', namespace, 'metadata.name', `The namespace has no injection label, and the injector's enableNamespacesByDefault is on: its pods are injected`))
      else problems.push(say('IST0102', 'info', namespace, 'metadata.name', `The namespace is not enabled for Istio injection. Run 'kubectl label namespace ${name} istio-injection=enabled' to enable it, or '… istio-injection=disabled' to mark that it needs none`))
    } else if (label === 'enabled') injected.add(name)
  }
  for (const pod of context.all('Pod')) {
    const { namespace, labels, annotations, name } = pod.metadata
    if (!injected.has(namespace) || (labels[injectKey] ?? annotations[injectKey] ?? '').toLowerCase() === 'false' || pod.spec.hostNetwork === true) continue
    if (annotations['ambient.istio.io/redirection'] === 'enabled') continue
    if (proxyContainer(pod.spec) === undefined) problems.push(say('IST0103', 'warning', pod, '', `The pod ${namespace}/${name} is missing the Istio proxy`, 'restart it, and it is injected'))
  }
  return problems
}
