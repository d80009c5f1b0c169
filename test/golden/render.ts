// What a golden case looks like on paper: the plan with its reasons, the xDS as Envoy's documentation writes it, the explanations.
// Subtrees that come again are YAML aliases, so that a change shows once.
import { fromBinary, toJson, type JsonObject } from '@bufbuild/protobuf'
import { stringify } from 'yaml'
import { canonicalJson } from '#lib/canonical.ts'
import { formatRef, type Ref } from '#lib/problem.ts'
import { isRecord } from '#api'
import { explain, formatExplanation } from '#insight'
import { message, registry } from '#proto'
import { typeUrls, type Resource } from '#xds'
import { configOf, type GoldenCase } from './golden-case.ts'

export type Rendered = Readonly<Record<'plan.yaml' | 'xds.yaml' | 'explain.txt', string>>

export function render(golden: GoldenCase): Rendered {
  const { plan, endpoints, resources } = configOf(golden.mesh, golden.proxy)
  return { 'plan.yaml': yaml({ ...plan, endpoints }, shorten), 'xds.yaml': yaml(xds(resources), (v) => v), 'explain.txt': explanations(golden) }
}

function explanations(golden: GoldenCase): string {
  const problems = golden.problems.map((p) => `${p.severity} ${p.code} ${formatRef(p.ref)}: ${p.message}\n`)
  const answers = golden.calls.map((call) => `$ kith explain ${call.from} ${call.to}\n${formatExplanation(explain(golden.mesh, call))}`)
  return [...problems, ...answers].join('\n')
}

/** By type, each under its name. */
export function xds(resources: readonly Resource[]): JsonObject {
  const of = (type: string): JsonObject => Object.fromEntries(resources.filter((r) => r.type === type).map((r) => [r.name, resourceJson(r)]))
  return { listeners: of(typeUrls.listener), routes: of(typeUrls.route), clusters: of(typeUrls.cluster), endpoints: of(typeUrls.endpoint) }
}

export function resourceJson(resource: Resource): JsonObject {
  const schema = message(resource.type.slice(resource.type.indexOf('/') + 1))
  return toJson(schema, fromBinary(schema, resource.any.value), { registry }) as JsonObject
}

/** A reason, and a reference, in a line. */
function shorten(value: unknown): unknown {
  if (!isRecord(value)) return value
  if (typeof value['rule'] === 'string' && typeof value['effect'] === 'string') return `${value['effect']} ${value['rule']}: ${value['source'] === 'default' ? 'built-in' : formatRef(value['source'] as Ref)}`
  if (typeof value['kind'] === 'string' && typeof value['path'] === 'string' && typeof value['namespace'] === 'string') return formatRef(value as unknown as Ref)
  return value
}

function yaml(value: unknown, short: (v: unknown) => unknown): string {
  const known = new Map<string, unknown>()
  const walk = (v: unknown): unknown => {
    const s = short(v)
    if (s === null || typeof s !== 'object') return s
    const text = canonicalJson(s)
    const before = text.length > 160 ? known.get(text) : undefined
    if (before !== undefined) return before
    // A copy each, so that short repetitions are written out.
    const made = Array.isArray(s) ? s.map(walk) : Object.fromEntries(Object.entries(s).map(([k, x]) => [k, walk(x)]))
    if (text.length > 160) known.set(text, made)
    return made
  }
  return stringify(walk(value), { lineWidth: 0 })
}
