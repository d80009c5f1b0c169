// Which kinds are carried out, and what does not happen by the others. One table: a kind that is not in it fails a test.
// Whoever takes an object in says this of it: the status, the webhook, analyze, explain, the logs of control plane and sidecar.
import type { Problem } from '#lib/problem.ts'
import { isRecord } from './decode-fields.ts'
import { refTo, type ApiObject } from './object.ts'

export interface NotServed {
  /** What does not happen, as a sentence about the mesh, not about Kith's proxy alone: a stock Envoy as the sidecar gets no more. */
  readonly effect: string
  readonly help?: string
  /** Fields that are worth a message of their own, each with what does not happen by it. Default: one message for the object. */
  readonly fields?: Readonly<Record<string, string>>
  /** Only these objects are meant for a mesh. Default: all. */
  readonly when?: (spec: Readonly<Record<string, unknown>>, object: ApiObject) => boolean
}

const gatewayApi = 'Kith serves no Gateway API, so nothing listens and no route is followed'
const ofIstio = (name: unknown): boolean => typeof name === 'string' && /^istio(-|$)/.test(name)
/** Attached to a Service, a route is for the mesh itself; one for a gateway may be another controller's. */
const ofMesh = (spec: Readonly<Record<string, unknown>>): boolean => Array.isArray(spec['parentRefs']) && spec['parentRefs'].some((p) => isRecord(p) && p['kind'] === 'Service')
const meshRoute: NotServed = { effect: 'Kith serves no Gateway API, so calls to the Service go on as if the route were not there', help: 'write a VirtualService', when: ofMesh }

/** `group/Kind` → true: carried out. */
export const kindServing: Readonly<Record<string, true | NotServed>> = {
  'security.istio.io/PeerAuthentication': true,
  'security.istio.io/AuthorizationPolicy': true,
  'security.istio.io/RequestAuthentication': true,
  'networking.istio.io/DestinationRule': true,
  'networking.istio.io/VirtualService': true,
  'networking.istio.io/ServiceEntry': true,
  'networking.istio.io/WorkloadEntry': true,
  'networking.istio.io/Sidecar': true,
  'networking.istio.io/WorkloadGroup': { effect: 'machines do not register themselves, so no WorkloadEntry is created from it', help: 'write a WorkloadEntry for each machine' },
  'networking.istio.io/Gateway': { effect: 'nothing listens on the ports of its servers, even where its gateway’s pods are ready' },
  'networking.istio.io/EnvoyFilter': { effect: 'its patches are applied to no proxy, neither Kith’s nor an Envoy, so what they would limit, refuse or add does not happen' },
  'networking.istio.io/ProxyConfig': {
    effect: 'sidecars start with the same settings as without it',
    fields: { concurrency: 'a sidecar works on one thread', environmentVariables: 'no sidecar gets these variables', image: 'sidecars have the injector’s image' },
    help: 'use the annotation proxy.istio.io/config, or those of the pod',
  },
  'telemetry.istio.io/Telemetry': {
    effect: 'telemetry is the same as without it',
    fields: { tracing: 'no spans are reported', metrics: 'metrics keep their names and tags, and none is left out', accessLogging: 'meshConfig.accessLogFile alone decides where the access log is written, without filters and providers' },
  },
  'extensions.istio.io/WasmPlugin': { effect: 'no proxy loads it, so what it would check or change does not happen' },
  'extensions.istio.io/TrafficExtension': { effect: 'no proxy loads it, so what it would check or change does not happen' },
  'install.istio.io/IstioOperator': { effect: 'no operator reads it: applying it installs nothing', help: 'kith install -f FILE' },
  'gateway.networking.k8s.io/Gateway': { effect: gatewayApi, when: (spec) => ofIstio(spec['gatewayClassName']) },
  'gateway.networking.k8s.io/GatewayClass': { effect: gatewayApi, when: (spec) => typeof spec['controllerName'] === 'string' && spec['controllerName'].startsWith('istio.io/') },
  'gateway.networking.k8s.io/HTTPRoute': meshRoute,
  'gateway.networking.k8s.io/GRPCRoute': meshRoute,
  'gateway.networking.k8s.io/TCPRoute': meshRoute,
  'gateway.networking.k8s.io/TLSRoute': meshRoute,
  'networking.k8s.io/Ingress': {
    effect: 'no ingress gateway is served, so nothing listens for it',
    when: (spec, { metadata }) => ofIstio(spec['ingressClassName']) || ofIstio(metadata.annotations['kubernetes.io/ingress.class']),
  },
}

/** Groups of which no kind is served. */
const groups: Readonly<Record<string, string>> = {
  'gateway.networking.k8s.io': 'no route or gateway is made of it', 'gateway.networking.x-k8s.io': 'no route or gateway is made of it', 'inference.networking.k8s.io': 'no route or gateway is made of it',
}

/** Why no object of this kind has an effect, whomever it is meant for; undefined: the kind is served, or is no kind of a mesh. */
export function whyKindNotServed(apiVersion: string, kind: string): string | undefined {
  const group = apiVersion.split('/')[0] ?? ''
  const serving = kindServing[`${group}/${kind}`]
  return serving === undefined || serving === true || group === 'networking.k8s.io' ? groups[group] : serving.effect
}

const said = new WeakMap<ApiObject, readonly Problem[]>()

/** KITH0121, for the object or for each of its fields that says something. */
export function unservedKind(object: ApiObject): readonly Problem[] {
  const slash = object.apiVersion.indexOf('/')
  // Pods and Services, of which there are thousands.
  if (slash === -1) return []
  const serving = kindServing[`${object.apiVersion.slice(0, slash)}/${object.kind}`]
  if (serving === undefined || serving === true) return object.kind === 'VirtualService' ? gatewaysOf(object) : []
  const known = said.get(object)
  if (known !== undefined) return known
  const spec = isRecord(object.spec) ? object.spec : {}
  const made = serving.when?.(spec, object) === false ? [] : messages(object, spec, serving)
  said.set(object, made)
  return made
}

function messages(object: ApiObject, spec: Readonly<Record<string, unknown>>, { effect, help, fields }: NotServed): readonly Problem[] {
  const set = Object.entries(fields ?? {}).filter(([name]) => !isEmpty(spec[name]))
  if (set.length > 0) return set.map(([name, what]) => say(object, `spec.${name}`, `${name} of a ${object.kind} is not served by this mesh: ${what}`, help))
  const detail = object.kind === 'EnvoyFilter' ? patched(spec) : ''
  return [say(object, '', `${object.kind} is not served by this mesh${detail}: ${effect}`, help)]
}

function say(object: ApiObject, path: string, message: string, help?: string): Problem {
  return { code: 'KITH0121', severity: 'warning', ref: refTo(object, path), message, ...(help === undefined ? {} : { help }) }
}

const isEmpty = (value: unknown): boolean => value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0)

/** ` (HTTP_FILTER envoy.filters.http.local_ratelimit, CLUSTER)`: what its author counts on. */
function patched(spec: Readonly<Record<string, unknown>>): string {
  const patches = Array.isArray(spec['configPatches']) ? spec['configPatches'].filter(isRecord) : []
  const names = patches.map(({ applyTo, patch }) => {
    const value = isRecord(patch) ? patch['value'] : undefined
    return [applyTo, isRecord(value) ? value['name'] : undefined].filter((w) => typeof w === 'string').join(' ')
  })
  const all = [...new Set(names)].filter((n) => n !== '')
  return all.length === 0 ? '' : ` (${all.slice(0, 3).join(', ')}${all.length > 3 ? ' …' : ''})`
}

/** The part of a VirtualService that is for gateways. */
function gatewaysOf(virtual: ApiObject): readonly Problem[] {
  if (!virtual.apiVersion.startsWith('networking.istio.io/')) return []
  const gateways = isRecord(virtual.spec) && Array.isArray(virtual.spec['gateways']) ? virtual.spec['gateways'].filter((g) => typeof g === 'string') : []
  const at = gateways.findIndex((g) => g !== 'mesh')
  if (at === -1) return []
  const left = gateways.includes('mesh') ? 'the routes apply to sidecars alone' : 'the routes apply to no proxy'
  return [say(virtual, `spec.gateways[${at}]`, `no gateway is served by this mesh, so ${gateways[at] ?? ''} gets none of these routes: ${left}`, gateways.includes('mesh') ? undefined : 'add mesh to gateways if sidecars should follow it')]
}

/** Which pods an object that is not served would have touched: those of its namespace, or of all where it is the root's. */
export function reachOf({ kind, spec }: ApiObject): { readonly labels: Readonly<Record<string, string>>; readonly everywhere: boolean; readonly sides: ReadonlySet<'client' | 'server'> } {
  const of = isRecord(spec) ? spec : {}
  const within = (value: unknown, key: string): unknown => (isRecord(value) ? value[key] : undefined)
  const raw = kind === 'Gateway' ? of['selector'] : (within(of['workloadSelector'], 'labels') ?? within(of['selector'], 'matchLabels'))
  const labels = Object.fromEntries(Object.entries(isRecord(raw) ? raw : {}).filter((e): e is [string, string] => typeof e[1] === 'string'))
  const contexts = kind === 'EnvoyFilter' && Array.isArray(of['configPatches']) ? of['configPatches'].map((p) => within(within(p, 'match'), 'context') ?? 'ANY') : ['ANY']
  const sides = new Set<'client' | 'server'>()
  if (kind !== 'Gateway' && contexts.some((c) => c === 'ANY' || c === 'SIDECAR_OUTBOUND')) sides.add('client')
  if (contexts.some((c) => c === 'ANY' || c === 'SIDECAR_INBOUND')) sides.add('server')
  return { labels, everywhere: kind === 'Gateway', sides }
}
