// One pod (or pod template) → the same with what its templates add. Idempotent: what an earlier injection added is taken out first.
// Istio: pkg/kube/inject/inject.go RunTemplate, webhook.go reapplyOverwrittenContainers and postProcessPod.
import { isRecord, unservedMetadata } from '#api'
import { annotationFaults } from './annotations.ts'
import { cloneJson } from './clone.ts'
import { containersOf, keepOthers, objectsIn, overridesKey, statusKey, takeOutEarlier, type Earlier } from './earlier.ts'
import { agentPortOf, modeOf, probePortOf } from './interception.ts'
import { strategicMerge } from './merge.ts'
import type { PodOwner } from './owner.ts'
import { rewriteProbes } from './probes.ts'
import { readProxyConfig } from './proxy-config.ts'
import { announceSecurePort, mergePrometheus } from './prometheus.ts'
import type { InjectSettings } from './settings.ts'
import { strings } from './strings.ts'
import { selectTemplates, templateFault, type Templates } from './templates.ts'
import { clean } from './sidecar-template.ts'
import type { InjectionTemplate, Obj, PartialPod, TemplateInput } from './template-types.ts'

export interface PodInput {
  readonly metadata: Readonly<Obj>
  /** What an object above says of its pods (a CronJob of its Jobs): read where the pod's own says nothing, and no part of the pod but for Istio's annotations. */
  readonly above?: { readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> }
  readonly spec: Readonly<Obj>
}

export interface InjectContext {
  readonly settings: InjectSettings
  readonly templates: Templates
  readonly namespace: string
  readonly owner: PodOwner
  /** Reads `proxy.istio.io/config`; the sources are not this room's. */
  readonly yaml: { readonly parse: (text: string) => unknown }
}

export type InjectedPod = { readonly metadata: Obj; readonly spec: Obj; readonly warnings: readonly string[] } | { readonly faults: readonly string[] }

const ours = ['istio-proxy', 'istio-init', 'istio-validation']
const fields = ['containers', 'initContainers'] as const
const handlers = ['httpGet', 'tcpSocket', 'grpc', 'exec'] as const

export function injectPod(pod: PodInput, context: InjectContext): InjectedPod {
  const { settings } = context
  const annotations: Record<string, string> = { ...pod.above?.annotations, ...strings(pod.metadata['annotations']) }
  const faults = annotationFaults(annotations)
  const config = ownProxyConfig(annotations, context, faults)
  const templates = selectTemplates(annotations['inject.istio.io/templates'], context.templates)
  if (typeof templates === 'string') faults.push(templates)
  if (faults.length > 0 || typeof templates === 'string') return { faults }

  const metadata: Obj = { ...pod.metadata }
  const spec = cloneJson(pod.spec) as Obj
  const earlier = takeOutEarlier(spec, annotations)
  // Templates see the application in the same order, wherever an earlier injection had put a sidecar of the user's own.
  for (const field of fields) if (spec[field] !== undefined) spec[field] = containersOf(spec, field).toSorted((a, b) => Number(ours.includes(String(a['name']))) - Number(ours.includes(String(b['name']))))
  const input = templateInput({ ...metadata, annotations, labels: { ...pod.above?.labels, ...strings(metadata['labels']) } }, spec, annotations, earlier.held ? { holdApplicationUntilProxyStarts: true, ...config } : config, context)
  const rendered = renderAll(templates, input)
  if ('faults' in rendered) return rendered

  const overrides = addContainers(spec, rendered)
  const added = addRest(spec, rendered)
  const place = placeOf(input)
  metadata['labels'] = { ...strings(pod.metadata['labels']), ...strings(rendered.metadata?.['labels']), ...(place.network === '' ? {} : { 'topology.istio.io/network': place.network }) }
  const allAnnotations: Record<string, string> = { ...annotations, ...strings(rendered.metadata?.['annotations']), ...settings.injectedAnnotations }
  const warnings = warningsOf(input, spec)
  const proxy = fields.flatMap((f) => containersOf(spec, f)).find((c) => c['name'] === 'istio-proxy' && namesIn(rendered).has('istio-proxy'))
  if (proxy !== undefined) {
    // Whatever uid its user gave it: only root may do what TPROXY needs.
    if (modeOf(input) === 'TPROXY' && isRecord(proxy['securityContext']) && input.ownUid) proxy['securityContext'] = { ...proxy['securityContext'], runAsUser: 0 }
    const done = completeProxy(proxy, spec, allAnnotations, input, earlier)
    if (done.faults.length > 0) return { faults: done.faults }
    announceSecurePort(allAnnotations, proxy)
    proxy['env'] = withPlace(objectsIn(proxy['env']), place)
    warnings.push(...done.warnings)
    keepOthers(proxy, earlier, settings.revision, spec)
  }
  if (input.ownUid) followUid(spec, input.proxyUid)
  reorder(spec, annotations, input)
  const names = (field: string): unknown[] | null => namesOrNull(rendered.spec?.[field])
  const status = { initContainers: names('initContainers'), containers: names('containers'), volumes: added, imagePullSecrets: names('imagePullSecrets'), revision: settings.revision }
  for (const key of Object.keys(pod.above?.annotations ?? {})) if (!/(^|[./])(istio|prometheus)\.io\//.test(key) && !isOwn(pod, key)) delete allAnnotations[key]
  metadata['annotations'] = { ...allAnnotations, [statusKey]: JSON.stringify(status), ...overrides }
  return { metadata, spec, warnings }
}

const isOwn = (pod: PodInput, key: string): boolean => isRecord(pod.metadata['annotations']) && Object.hasOwn(pod.metadata['annotations'], key)

function ownProxyConfig(annotations: Record<string, string>, context: InjectContext, faults: string[]): Obj {
  const text = annotations['proxy.istio.io/config']
  if (text === undefined) return { ...context.settings.proxyConfig }
  try {
    const own = readProxyConfig(context.yaml.parse(text))
    faults.push(...own.faults.map((f) => `invalid annotation proxy.istio.io/config: ${f}`))
    return { ...context.settings.proxyConfig, ...own.config }
  } catch (error) {
    faults.push(`invalid annotation proxy.istio.io/config: ${(error as Error).message}`)
    return {}
  }
}

function templateInput(metadata: Obj, spec: Obj, annotations: Record<string, string>, config: Obj, { settings, owner, namespace }: InjectContext): TemplateInput {
  const userProxy = fields.flatMap((f) => containersOf(spec, f)).find((c) => c['name'] === 'istio-proxy')
  const security = isRecord(userProxy?.['securityContext']) ? userProxy['securityContext'] : {}
  return {
    settings, annotations, labels: strings(metadata['labels']), metadata, spec, containers: containersOf(spec, 'containers').filter((c) => !ours.includes(String(c['name']))), namespace, owner,
    // Whatever is not "false" asks for it.
    native: (annotations['sidecar.istio.io/nativeSidecar'] || String(settings.nativeSidecars)) !== 'false', hold: settings.holdApplicationUntilProxyStarts || config['holdApplicationUntilProxyStarts'] === true,
    // The rules tell the proxy's traffic by its uid; 0 would let every root process pass.
    ownUid: security['runAsUser'] !== undefined, proxyUid: Number(security['runAsUser'] ?? 0) || 1337, proxyGid: Number(security['runAsGroup'] ?? 1337), proxyConfig: config,
  }
}

function renderAll(templates: readonly InjectionTemplate[], input: TemplateInput): PartialPod | { readonly faults: readonly string[] } {
  try {
    return united(templates.reduce<PartialPod>((all, template) => strategicMerge(all, template.render(input)) as PartialPod, {}))
  } catch (error) {
    return { faults: [templateFault(error)] }
  }
}

/** A template that changes the sidecar among `containers` means the one that another puts among `initContainers`. */
function united(rendered: PartialPod): PartialPod {
  const main = containersOf(rendered.spec ?? {}, 'containers')
  const early = containersOf(rendered.spec ?? {}, 'initContainers')
  const both = main.filter((c) => early.some((e) => e['name'] === c['name']))
  if (both.length === 0) return rendered
  const initContainers = early.map((e) => both.filter((c) => c['name'] === e['name']).reduce<Obj>((all, c) => strategicMerge(all, c) as Obj, e))
  return { ...rendered, spec: { ...rendered.spec, containers: main.filter((c) => !both.includes(c)), initContainers } }
}

/** What the user has of the same name is laid over what is rendered, wherever it stands; it is remembered in the annotation that this gives. */
function addContainers(spec: Obj, rendered: PartialPod): Record<string, string> {
  const overridden: Record<string, Obj[]> = {}
  for (const field of fields) {
    for (const container of containersOf(rendered.spec ?? {}, field)) {
      const other = field === 'containers' ? 'initContainers' : 'containers'
      const from = [field, other] as const
      const at = from.find((f) => containersOf(spec, f).some((c) => c['name'] === container['name']))
      const own = at === undefined ? undefined : containersOf(spec, at).find((c) => c['name'] === container['name'])
      if (at !== undefined && own !== undefined) overridden[at] = [...(overridden[at] ?? []), own]
      const final = overlay(container, own)
      if (at === field) spec[field] = containersOf(spec, field).map((c) => (c === own ? final : c))
      else {
        if (at !== undefined) spec[at] = containersOf(spec, at).filter((c) => c !== own)
        spec[field] = [...containersOf(spec, field), final]
      }
    }
  }
  return Object.keys(overridden).length === 0 ? {} : { [overridesKey]: JSON.stringify(overridden) }
}

/** Go's strconv.ParseBool; undefined: no such word, which leaves it to the settings. */
function boolean(word: string | undefined): boolean | undefined {
  if (word === undefined) return undefined
  if (/^(1|t|T|true|TRUE|True)$/.test(word)) return true
  return /^(0|f|F|false|FALSE|False)$/.test(word) ? false : undefined
}

/** Empty texts and lists say nothing in Kubernetes' types. */
function withoutEmpty(value: Obj): Obj {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== '' && !(Array.isArray(v) && v.length === 0)).map(([k, v]) => [k, isRecord(v) ? withoutEmpty(v) : v]))
}

/** A probe has one handler: the user's, where there is one. */
function withOneHandler(probe: unknown, own: unknown): unknown {
  if (!isRecord(probe) || !isRecord(own) || !handlers.some((h) => isRecord(own[h]))) return probe
  return Object.fromEntries(Object.entries(probe).filter(([field]) => !(handlers as readonly string[]).includes(field) || isRecord(own[field])))
}

/**
 * `Always` is what the API server sets for `image: auto`, whose tag is `latest`, before a webhook sees the pod. The image
 * that takes its place has a tag of its own: `global.imagePullPolicy` counts, else that image's own default.
 */
function withoutDefaultPolicy(own: Obj): Obj {
  const { imagePullPolicy, ...rest } = own
  return imagePullPolicy === 'Always' ? rest : own
}

function overlay(rendered: Obj, own: Obj | undefined): Obj {
  if (own === undefined) return cloneJson(rendered)
  const { image, ...others } = withoutEmpty(own)
  const isAuto = image === undefined || image === 'auto'
  const rest = isAuto ? withoutDefaultPolicy(others) : others
  const merged = strategicMerge(rendered, isAuto ? rest : { ...rest, image }) as Obj
  for (const probe of ['readinessProbe', 'livenessProbe', 'startupProbe']) merged[probe] = withOneHandler(merged[probe], own[probe])
  return cloneJson(clean(merged))
}

/** Volumes, and whatever else of a pod a template sets. The names of the volumes that are new. */
function addRest(spec: Obj, rendered: PartialPod): unknown[] {
  const { containers: _c, initContainers: _i, volumes, ...rest } = rendered.spec ?? {}
  const there = new Map(objectsIn(spec['volumes']).map((v) => [v['name'], v]))
  // The user's volume of another kind stands: one of two kinds could not be made.
  const fitting = objectsIn(volumes).filter((v) => {
    const own = there.get(v['name'])
    return own === undefined || Object.keys(own).some((kind) => kind !== 'name' && isRecord(v[kind]))
  })
  Object.assign(spec, strategicMerge(spec, cloneJson({ ...rest, ...(fitting.length === 0 ? {} : { volumes: fitting }) })))
  return fitting.map((v) => v['name']).filter((name) => !there.has(name))
}

/** A pod may say by its label in which network it is. */
function placeOf({ settings, labels }: TemplateInput): { readonly network: string; readonly cluster: string } {
  return { network: labels['topology.istio.io/network'] ?? settings.network, cluster: settings.namedCluster }
}

/** Cluster and network are the injector's to say, whatever template rendered the sidecar. */
function withPlace(env: readonly Obj[], { network, cluster }: ReturnType<typeof placeOf>): Obj[] {
  const said = [['ISTIO_META_CLUSTER_ID', cluster], ['ISTIO_META_NETWORK', network]].filter(([, value]) => value !== '').map(([name, value]) => ({ name, value }))
  return [...env.map((e) => said.find((s) => s.name === e['name']) ?? e), ...said.filter((s) => !env.some((e) => e['name'] === s.name))]
}

/** Probes and metrics of the application go by way of the sidecar. */
function completeProxy(proxy: Obj, spec: Obj, annotations: Record<string, string>, input: TemplateInput, earlier: Earlier): { readonly warnings: readonly string[]; readonly faults: readonly string[] } {
  const { settings } = input
  const applications = fields.flatMap((f) => containersOf(spec, f)).filter((c) => !ours.includes(String(c['name'])))
  const rewrite = boolean(annotations['sidecar.istio.io/rewriteAppHTTPProbers']) ?? settings.rewriteAppHttpProbers
  const probed = rewrite ? rewriteProbes(applications, probePortOf(input), earlier.probers) : { probers: {}, warnings: [] }
  const env = objectsIn(proxy['env'])
  const { env: metrics, faults, warnings } = mergePrometheus(annotations, settings, agentPortOf(input), earlier)
  proxy['env'] = [...env, ...(Object.keys(probed.probers).length > 0 ? [{ name: 'ISTIO_KUBE_APP_PROBERS', value: JSON.stringify(probed.probers) }] : []), ...(metrics === undefined ? [] : [metrics])]
  return { warnings: [...probed.warnings, ...warnings], faults }
}

/** The rules let pass what runs as the sidecar's uid, whatever template wrote them. */
function followUid(spec: Obj, uid: number): void {
  const args = containersOf(spec, 'initContainers').find((c) => c['name'] === 'istio-init' || c['name'] === 'istio-validation')?.['args']
  const at = Array.isArray(args) ? args.indexOf('-u') : -1
  if (at !== -1) (args as unknown[])[at + 1] = String(uid)
}

/** Classic: the check first, the redirect last, so that init containers can still reach the network. Native: both before the sidecar, the sidecar before all others. What sets up core dumps keeps by them. */
function reorder(spec: Obj, annotations: Readonly<Record<string, string>>, input: TemplateInput): void {
  const take = (list: readonly Obj[], ...names: string[]): Obj[] => names.flatMap((n) => list.filter((c) => c['name'] === n))
  const without = (list: readonly Obj[], taken: readonly Obj[]): Obj[] => list.filter((c) => !taken.includes(c))
  const main = containersOf(spec, 'containers')
  const proxy = take(main, 'istio-proxy')
  spec['containers'] = input.hold ? [...proxy, ...without(main, proxy)] : [...without(main, proxy), ...proxy]
  const inits = containersOf(spec, 'initContainers')
  const native = take(inits, 'istio-proxy')
  const setup = take(inits, 'istio-init', 'istio-validation')
  const early = native.length === 0 ? [] : take(inits, ...(annotations['sidecar.istio.io/init-containers-before-proxy'] ?? '').split(',').map((n) => n.trim())).filter((c) => !ours.includes(String(c['name'])))
  const dumps = take(inits, 'enable-core-dump')
  const rest = without(inits, [...native, ...setup, ...early, ...dumps])
  const checks = take(setup, 'istio-validation')
  const list = native.length > 0 ? [...setup, ...early, ...native, ...dumps, ...rest] : [...checks, ...rest, ...without(setup, checks), ...dumps]
  if (list.length > 0) spec['initContainers'] = list
  else delete spec['initContainers']
}

function warningsOf({ owner, native, annotations, labels, settings }: TemplateInput, spec: Obj): string[] {
  const warnings: string[] = []
  if (['Default', 'None'].includes(String(spec['dnsPolicy']))) warnings.push(`dnsPolicy ${String(spec['dnsPolicy'])}: the sidecar may not find ${settings.caAddress}`)
  warnings.push(...unservedMetadata(annotations, labels).map((s) => s.meaning))
  if (!native && ['Job', 'CronJob'].includes(owner.kind)) warnings.push('the sidecar keeps running when the work is done: a native sidecar (annotation sidecar.istio.io/nativeSidecar: "true") ends by itself, else POST http://localhost:15020/quitquitquit ends it')
  return warnings
}

function namesIn(rendered: PartialPod): ReadonlySet<unknown> {
  return new Set(fields.flatMap((f) => containersOf(rendered.spec ?? {}, f)).map((c) => c['name']))
}

function namesOrNull(list: unknown): unknown[] | null {
  const names = objectsIn(list).map((c) => c['name'])
  return names.length > 0 ? names : null
}
