// IST0158: sidecars of another version than the injector's. Istio: pkg/config/analysis/analyzers/injection, ImageAnalyzer; util/proxyconfig.go.
import { isRecord, type ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, type AnalysisContext, type Labels } from '../context.ts'
import { say } from '../problem.ts'

const injectionLabel = 'istio-injection'
const revisionLabel = 'istio.io/rev'

interface InjectorValues { readonly image: string; readonly byDefault: boolean; readonly cni: boolean }

/** What the injector's ConfigMap of a revision says. */
export function injectorValues(context: AnalysisContext, revision: string | undefined): InjectorValues | undefined {
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
    return { image: whole, byDefault: part(part(values, 'sidecarInjectorWebhook'), 'enableNamespacesByDefault') === true, cni: part(part(part(values, 'pilot'), 'cni'), 'enabled') === true }
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
      const proxy = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].find((c) => c.name === 'istio-proxy')
      const image = proxy === undefined ? undefined : (proxy.image ?? '')
      return pod.metadata.namespace === name && (pod.metadata.annotations['sidecar.istio.io/proxyImage'] ?? '') === '' && image !== undefined && image !== wanted && image !== `${wanted}-${imageType(context, pod)}`
    })
    return odd.length === 0 ? [] : [say('IST0158', 'warning', namespace, '', `The Istio proxy images of the pods running in the namespace do not match the image defined in the injection configuration (${wanted}): ${odd.map((p) => p.metadata.name).join(', ')}`)]
  })
}

interface ProxyConfigSpec { readonly selector?: { readonly matchLabels?: Labels }; readonly image?: { readonly imageType?: string } }

/** Of `debug`, `distroless` … the one that holds for a pod: its own annotation, a ProxyConfig that selects it, its namespace's, the mesh's. */
function imageType(context: AnalysisContext, pod: ApiObject): string {
  const configs = context.all('ProxyConfig').map(({ metadata, spec }) => ({ namespace: metadata.namespace, spec: spec as ProxyConfigSpec }))
  const own = configs.filter((c) => c.namespace === pod.metadata.namespace && c.namespace !== context.rootNamespace)
  const mesh = isRecord(context.meshConfig.defaultConfig) && isRecord(context.meshConfig.defaultConfig['image']) ? context.meshConfig.defaultConfig['image']['imageType'] : undefined
  const types = [
    // Of the annotation's YAML no more is asked than this.
    /imageType["']?\s*:\s*["']?([\w.-]+)/.exec(pod.metadata.annotations['proxy.istio.io/config'] ?? '')?.[1],
    own.find((c) => c.spec.selector !== undefined && covers(c.spec.selector.matchLabels ?? {}, pod.metadata.labels))?.spec.image?.imageType,
    own.find((c) => c.spec.selector === undefined)?.spec.image?.imageType, configs.find((c) => c.namespace === context.rootNamespace)?.spec.image?.imageType, mesh,
  ]
  const found = types.find((t) => typeof t === 'string' && t !== '')
  return typeof found === 'string' && found !== 'default' ? found : ''
}
