// One pod (or pod template) → the same with a sidecar. Idempotent: what an earlier injection added is taken out first.
// Istio: pkg/kube/inject/inject.go RunTemplate, webhook.go postProcessPod.
import { isRecord } from '#api'
import { annotationFaults } from './annotations.ts'
import { strategicMerge } from './merge.ts'
import { rewriteProbes } from './probes.ts'
import { renderTemplate, statusPortOf, type TemplateInput } from './template.ts'
import type { InjectSettings } from './settings.ts'

type Obj = Record<string, unknown>

export interface PodInput {
  readonly metadata: Readonly<Record<string, unknown>>
  readonly spec: Readonly<Record<string, unknown>>
}

export interface InjectContext {
  readonly settings: InjectSettings
  readonly namespace: string
  readonly workload: string
  /** `kubernetes://apis/apps/v1/namespaces/ns/deployments/name` */
  readonly owner: string
  /** Reads `proxy.istio.io/config` (YAML); the sources are not this room's. */
  readonly parseYaml: (text: string) => unknown
}

export type InjectedPod = { readonly metadata: Obj; readonly spec: Obj; readonly warnings: readonly string[] } | { readonly faults: readonly string[] }

const statusKey = 'sidecar.istio.io/status'
const overridesKey = 'proxy.istio.io/overrides'
const ours = ['istio-proxy', 'istio-init', 'istio-validation']

export function injectPod(pod: PodInput, context: InjectContext): InjectedPod {
  const metadata = structuredClone(pod.metadata) as Obj
  const annotations = { ...((metadata['annotations'] ?? {}) as Record<string, string>) }
  const labels = { ...((metadata['labels'] ?? {}) as Record<string, string>) }
  const faults = annotationFaults(annotations)
  const config = ownProxyConfig(annotations, context, faults)
  if (faults.length > 0) return { faults }

  const spec = structuredClone(pod.spec) as Obj
  const before = removeEarlier(spec, annotations)
  const { settings } = context
  const { own, containers, initContainers } = takeOverrides(spec, before.overrides)
  const userProxy = own['istio-proxy']
  const security = (isRecord(userProxy?.['securityContext']) ? userProxy['securityContext'] : {}) as Obj
  const input: TemplateInput = {
    settings, annotations, labels, containers, workload: context.workload, owner: context.owner, native: (annotations['sidecar.istio.io/nativeSidecar'] ?? String(settings.nativeSidecars)) === 'true',
    hold: settings.holdApplicationUntilProxyStarts || config['holdApplicationUntilProxyStarts'] === true, proxyUid: Number(security['runAsUser'] ?? 1337), proxyGid: Number(security['runAsGroup'] ?? 1337), proxyConfig: config,
  }
  const rendered = renderTemplate(input)
  const proxy = overlay(rendered.proxy, userProxy)
  const init = rendered.init === undefined ? undefined : overlay(rendered.init, own[String(rendered.init['name'])])
  const kept = Object.entries(own).filter(([name]) => name !== 'istio-proxy' && name !== init?.['name']).map(([, c]) => c)

  const statusPort = statusPortOf(input)
  const rewrite = (annotations['sidecar.istio.io/rewriteAppHTTPProbers'] ?? String(settings.rewriteAppHttpProbers)) === 'true'
  const probed = rewrite ? rewriteProbes([...containers, ...initContainers], statusPort, before.probers) : { probers: {}, warnings: [] }
  const env = (proxy['env'] ?? []) as Obj[]
  if (Object.keys(probed.probers).length > 0) env.push({ name: 'ISTIO_KUBE_APP_PROBERS', value: JSON.stringify(probed.probers) })
  proxy['env'] = mergePrometheus(annotations, settings, env, before.prometheus)

  const setup = init === undefined ? [] : [init]
  const others = [...kept, ...initContainers]
  spec['containers'] = input.native ? containers : input.hold ? [proxy, ...containers] : [...containers, proxy]
  spec['initContainers'] = input.native ? [...setup, proxy, ...others] : init?.['name'] === 'istio-validation' ? [...setup, ...others] : [...others, ...setup]
  if ((spec['initContainers'] as unknown[]).length === 0) delete spec['initContainers']
  const volumes = (spec['volumes'] ?? []) as Obj[]
  const added = rendered.volumes.filter((v) => !volumes.some((o) => o['name'] === v['name']))
  spec['volumes'] = [...volumes, ...added]

  metadata['labels'] = { ...labels, ...newLabels(labels, context) }
  const names = { initContainers: [...setup, ...(input.native ? [proxy] : [])].map((c) => c['name']), containers: input.native ? null : ['istio-proxy'], volumes: added.map((v) => v['name']), imagePullSecrets: null, revision: settings.revision }
  metadata['annotations'] = { ...annotations, ...newAnnotations(annotations, containers, settings), [statusKey]: JSON.stringify({ ...names, initContainers: names.initContainers.length === 0 ? null : names.initContainers }), ...overridesAnnotation(own) }
  return { metadata, spec, warnings: probed.warnings }
}

function ownProxyConfig(annotations: Record<string, string>, context: InjectContext, faults: string[]): Obj {
  const text = annotations['proxy.istio.io/config']
  if (text === undefined) return { ...context.settings.proxyConfig }
  try {
    const parsed = context.parseYaml(text) ?? {}
    if (!isRecord(parsed)) throw new Error('it must be a map')
    return { ...context.settings.proxyConfig, ...parsed }
  } catch (error) {
    faults.push(`invalid annotation proxy.istio.io/config: ${(error as Error).message}`)
    return {}
  }
}

interface Earlier {
  /** Containers as the user wrote them before the first injection. */
  readonly overrides: Readonly<Record<string, Obj>>
  readonly probers: Readonly<Record<string, unknown>>
  readonly prometheus: Obj | undefined
}

/** Takes an earlier injection's containers and volumes out, and remembers what only they still know. */
function removeEarlier(spec: Obj, annotations: Record<string, string>): Earlier {
  const text = annotations[statusKey]
  if (text === undefined) return { overrides: {}, probers: {}, prometheus: undefined }
  const status = parseObject(text)
  const listed = (key: string): unknown[] => (Array.isArray(status[key]) ? (status[key] as unknown[]) : [])
  const all = [...((spec['containers'] ?? []) as Obj[]), ...((spec['initContainers'] ?? []) as Obj[])]
  const env = ((all.find((c) => c['name'] === 'istio-proxy')?.['env'] ?? []) as Obj[])
  const gone = new Set([...listed('containers'), ...listed('initContainers')])
  for (const field of ['containers', 'initContainers']) if (Array.isArray(spec[field])) spec[field] = (spec[field] as Obj[]).filter((c) => !gone.has(c['name']))
  const volumes = new Set(listed('volumes'))
  if (Array.isArray(spec['volumes'])) spec['volumes'] = (spec['volumes'] as Obj[]).filter((v) => !volumes.has(v['name']))
  const stored = parseObject(annotations[overridesKey] ?? '{}')
  const overrides = [...((stored['containers'] ?? []) as Obj[]), ...((stored['initContainers'] ?? []) as Obj[])]
  delete annotations[statusKey]
  delete annotations[overridesKey]
  return {
    overrides: Object.fromEntries(overrides.map((c) => [String(c['name']), c])), probers: parseObject(String(env.find((e) => e['name'] === 'ISTIO_KUBE_APP_PROBERS')?.['value'] ?? '{}')),
    prometheus: env.find((e) => e['name'] === 'ISTIO_PROMETHEUS_ANNOTATIONS'),
  }
}

/** The user's own istio-proxy and istio-init are laid over the rendered ones. */
function takeOverrides(spec: Obj, stored: Readonly<Record<string, Obj>>): { own: Record<string, Obj>; containers: Obj[]; initContainers: Obj[] } {
  const own: Record<string, Obj> = { ...stored }
  const split = (field: string): Obj[] =>
    ((spec[field] ?? []) as Obj[]).filter((c) => {
      if (!ours.includes(String(c['name']))) return true
      own[String(c['name'])] = c
      return false
    })
  return { own, containers: split('containers'), initContainers: split('initContainers') }
}

function overlay(rendered: Obj, own: Obj | undefined): Obj {
  if (own === undefined) return { ...rendered }
  const { image, ...rest } = own
  const handlers = Object.fromEntries(['readinessProbe', 'livenessProbe', 'startupProbe'].filter((p) => isRecord(own[p])).map((p) => [p, own[p]]))
  return { ...(strategicMerge(rendered, image === undefined || image === 'auto' ? rest : own) as Obj), ...handlers }
}

function overridesAnnotation(own: Readonly<Record<string, Obj>>): Record<string, string> {
  const all = Object.values(own)
  if (all.length === 0) return {}
  const containers = all.filter((c) => c['name'] === 'istio-proxy')
  const initContainers = all.filter((c) => c['name'] !== 'istio-proxy')
  return { [overridesKey]: JSON.stringify({ ...(containers.length === 0 ? {} : { containers }), ...(initContainers.length === 0 ? {} : { initContainers }) }) }
}

function newLabels(labels: Readonly<Record<string, string>>, context: InjectContext): Record<string, string> {
  const name = labels['service.istio.io/canonical-name'] ?? labels['app.kubernetes.io/name'] ?? labels['app'] ?? context.workload
  const revision = labels['service.istio.io/canonical-revision'] ?? labels['app.kubernetes.io/version'] ?? labels['version'] ?? 'latest'
  const cut = (text: string): string => text.slice(0, 63).replace(/-$/, '')
  return {
    'security.istio.io/tlsMode': labels['security.istio.io/tlsMode'] ?? 'istio', 'service.istio.io/canonical-name': cut(name), 'service.istio.io/canonical-revision': cut(revision),
    ...(context.settings.network === '' || labels['topology.istio.io/network'] !== undefined ? {} : { 'topology.istio.io/network': context.settings.network }),
  }
}

function newAnnotations(annotations: Record<string, string>, containers: readonly Obj[], settings: InjectSettings): Record<string, string> {
  const first = containers[0]?.['name']
  const added: Record<string, string> = { 'istio.io/rev': settings.revision }
  for (const key of ['kubectl.kubernetes.io/default-container', 'kubectl.kubernetes.io/default-logs-container']) if (first !== undefined && annotations[key] === undefined) added[key] = String(first)
  return added
}

/** Prometheus scrapes the agent, which merges; what the application had asked for goes to the agent. */
function mergePrometheus(annotations: Record<string, string>, settings: InjectSettings, env: Obj[], before: Obj | undefined): Obj[] {
  const key = 'prometheus.io/'
  const merge = (annotations['prometheus.istio.io/merge-metrics'] ?? String(settings.enablePrometheusMerge)).toLowerCase()
  if (annotations[`${key}scrape`] === 'false' || !['true', '1', 't'].includes(merge)) return env
  const target = String(settings.statusPort)
  if (annotations[`${key}port`] === target || annotations[`${key}path`] === '/stats/prometheus') return before === undefined ? env : [...env, before]
  const asked = { scrape: annotations[`${key}scrape`], path: annotations[`${key}path`], port: annotations[`${key}port`] }
  const some = Object.fromEntries(Object.entries({ scrape: asked.scrape ?? '', path: asked.path ?? '', port: asked.port ?? '' }))
  Object.assign(annotations, { [`${key}port`]: target, [`${key}path`]: '/stats/prometheus', [`${key}scrape`]: 'true' })
  return Object.values(asked).some((v) => v !== undefined) ? [...env, { name: 'ISTIO_PROMETHEUS_ANNOTATIONS', value: JSON.stringify(some) }] : env
}

function parseObject(text: string): Obj {
  try {
    const parsed: unknown = JSON.parse(text)
    return isRecord(parsed) ? parsed : {}
  } catch {
    return {}
  }
}
