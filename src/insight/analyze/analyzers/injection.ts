// IST0102, IST0103, IST0123: who gets no sidecar. IST0158: sidecars of another version than the injector's.
import { isRecord } from '#api'
import type { Problem } from '#lib/problem.ts'
import { injectKey, isSystemNamespace, proxyContainer, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

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

interface InjectorValues { readonly image: string; readonly byDefault: boolean }

/** What the injector's ConfigMap of a revision says. */
function injectorValues(context: AnalysisContext, revision: string | undefined): InjectorValues | undefined {
  const name = revision === undefined || revision === '' || revision === 'default' ? 'istio-sidecar-injector' : `istio-sidecar-injector-${revision}`
  const data = context.all('ConfigMap').find((c) => c.metadata.name === name)?.raw['data']
  const text = isRecord(data) ? data['values'] : undefined
  if (typeof text !== 'string') return undefined
  try {
    const values: unknown = JSON.parse(text)
    const part = (of: unknown, key: string): unknown => (isRecord(of) ? of[key] : undefined)
    const global = part(values, 'global')
    const image = part(part(global, 'proxy'), 'image')
    const whole = typeof image !== 'string' ? '' : image.includes('/') ? image : `${String(part(global, 'hub'))}/${image}:${String(part(global, 'tag'))}`
    return { image: whole, byDefault: part(part(values, 'sidecarInjectorWebhook'), 'enableNamespacesByDefault') === true }
  } catch {
    return undefined
  }
}

export function injectionImage(context: AnalysisContext): Problem[] {
  return context.all('Namespace').flatMap((namespace): Problem[] => {
    const { name, labels } = namespace.metadata
    const revision = labels[revisionLabel] ?? (labels[injectionLabel] === 'enabled' ? 'default' : undefined)
    const wanted = revision === undefined ? undefined : injectorValues(context, revision)?.image
    if (wanted === undefined) return []
    const odd = context.all('Pod').filter((pod) => {
      const image = proxyContainer(pod.spec)?.image
      return pod.metadata.namespace === name && (pod.metadata.annotations['sidecar.istio.io/proxyImage'] ?? '') === '' && image !== undefined && image !== wanted
    })
    return odd.length === 0 ? [] : [say('IST0158', 'warning', namespace, '', `The Istio proxy images of the pods running in the namespace do not match the image defined in the injection configuration (${wanted}): ${odd.map((p) => p.metadata.name).join(', ')}`)]
  })
}
