// What a pod's rules lead to its sidecar and what they keep from it. Law: the rule set is #interception's;
// here it is asked, and never guessed at.
import {
  podInterception,
  type InterceptionDefaults,
  type InterceptionOptions,
  type PodInterception,
} from '#interception'
import type { Ref } from '#lib/problem.ts'
import { isRecord, refTo, type ApiObject, type MeshConfigSpec } from '#api'
import type { Workload } from './types.ts'

/** The sidecar's own ports, never redirected: HBONE, metrics and probes, health, the proxy's metrics. */
export const sidecarPorts: readonly number[] = [15008, 15020, 15021, 15090]

const known = new WeakMap<Workload, PodInterception>()
/** Pods of thousands have the same rules. */
const alike = new Map<string, PodInterception>()
const mostAlike = 500

/** The rules of a pod that has a sidecar. */
export function interceptionFor(workload: Workload): PodInterception {
  const before = known.get(workload)
  if (before !== undefined) return before
  const { annotations, spec, observed, interceptionDefaults: defaults } = workload
  const setup = (spec.initContainers ?? []).map((c) =>
    c.name === 'istio-init' || c.name === 'istio-validation' ? (c.args ?? []) : null,
  )
  const own = Object.entries(annotations)
    .filter(
      ([name]) =>
        name.includes('sidecar.istio.io/') ||
        name === 'istio.io/reroute-virtual-interfaces' ||
        name === 'proxy.istio.io/config',
    )
    .filter(([name]) => name !== 'sidecar.istio.io/status')
  const users = (spec.containers ?? []).map((c) => [
    c.name,
    c.securityContext?.runAsUser,
    c.securityContext?.runAsGroup,
  ])
  const key = JSON.stringify([
    own,
    setup,
    users,
    spec.securityContext?.runAsUser,
    spec.securityContext?.runAsGroup,
    observed,
    defaults,
  ])
  const made =
    alike.get(key) ?? podInterception({ annotations: Object.fromEntries(own), spec, observed, defaults })
  if (alike.size >= mostAlike) alike.clear()
  alike.set(key, made)
  known.set(workload, made)
  return made
}

/**
 * Where what arrives at this container port goes: to the sidecar, or past it. `null`: a port that no rule
 * names.
 */
export function redirectsInbound(workload: Workload, port: number | null): boolean {
  return interceptionFor(workload).inbound(port).redirectedTo !== null
}

/** What keeps this port from the sidecar; `default`: a rule that every pod has. */
export function notRedirectedBy(workload: Workload, port: number | null): Ref | 'default' {
  const { table, inbound } = interceptionFor(workload)
  const option = table === null ? 'mode' : inbound(port).option
  return option === null ? 'default' : sayingOf(workload, option)
}

/** Annotation or argument that says the option, in the object that the pod comes from. */
export function sayingOf(workload: Workload, option: keyof InterceptionOptions | 'mode'): Ref | 'default' {
  const said = interceptionFor(workload).said(option)
  return said === undefined
    ? 'default'
    : refTo(workload.object, `${workload.podPath}${said.part}.${said.path}`)
}

/**
 * As Istio's injector takes them from its values: https://istio.io/latest/docs/reference/config/annotations/
 * names each one's value.
 */
export function interceptionDefaults(
  objects: readonly ApiObject[],
  config: MeshConfigSpec,
): InterceptionDefaults {
  const values = valuesOf(
    objects.find((o) => o.kind === 'ConfigMap' && o.metadata.name === 'istio-sidecar-injector'),
  )
  const global = isRecord(values) ? values['global'] : undefined
  const proxy = isRecord(global) && isRecord(global['proxy']) ? global['proxy'] : {}
  const texts = Object.fromEntries(
    fields.flatMap(([annotation, value]) =>
      typeof proxy[value] === 'string' && proxy[value] !== '' ? [[annotation, proxy[value]]] : [],
    ),
  )
  const mode = isRecord(config.defaultConfig) ? config.defaultConfig['interceptionMode'] : undefined
  return {
    ...(Object.keys(texts).length === 0 ? {} : { texts }),
    ...(typeof mode === 'string' ? { mode } : {}),
  }
}

const fields = [
  ['includeOutboundIPRanges', 'includeIPRanges'],
  ['excludeOutboundIPRanges', 'excludeIPRanges'],
  ['includeInboundPorts', 'includeInboundPorts'],
  ['excludeInboundPorts', 'excludeInboundPorts'],
  ['includeOutboundPorts', 'includeOutboundPorts'],
  ['excludeOutboundPorts', 'excludeOutboundPorts'],
] as const

function valuesOf(map: ApiObject | undefined): unknown {
  const data = map?.raw['data']
  const text = isRecord(data) ? data['values'] : undefined
  if (typeof text !== 'string') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
