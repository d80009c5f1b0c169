// The schema DSL of #api as a structural OpenAPI v3 schema, as a CustomResourceDefinition wants it.
// Law: says the same as decoding does, wherever a CRD can; what it can't say is left to the webhook, never guessed.
import type { SchemaNode } from '#api'

export type OpenApi = Readonly<Record<string, unknown>>

/** `docs`: what a field is for, by its path; lists and maps are no steps of it. */
export function openApi(node: SchemaNode, path = '', docs: (path: string) => string | undefined = () => undefined): OpenApi {
  const rules = node.rules?.map(({ cel, message }) => ({ message, rule: cel })) ?? []
  const shape = shapeOf(node, path, docs)
  const doc = node.doc ?? docs(path)
  const own = node.type === 'duration' && node.minMs > 0 ? [durationRule(node.minMs)] : []
  const validations = [...own, ...rules]
  return {
    ...(doc === undefined ? {} : { description: doc }),
    ...shape, ...(node.nullable === true ? { nullable: true } : {}),
    ...(validations.length === 0 ? {} : { 'x-kubernetes-validations': validations }),
  }
}

function shapeOf(node: SchemaNode, path: string, docs: (path: string) => string | undefined): OpenApi {
  switch (node.type) {
    case 'any':
      return { 'x-kubernetes-preserve-unknown-fields': true }
    case 'boolean':
      return { type: 'boolean' }
    case 'string':
      return { type: 'string', ...given({ minLength: node.minLength, maxLength: node.maxLength, pattern: node.pattern }) }
    case 'number':
      return { type: 'number', format: 'double', ...given({ minimum: node.min, maximum: node.max }) }
    case 'integer':
      return { type: 'integer', ...integerLimits(node.min, node.max) }
    case 'duration':
      return { type: 'string', ...(node.minMs === 0 ? { pattern: anyDuration } : {}) }
    case 'enum':
      return { type: 'string', enum: node.values }
    case 'list':
      return {
        type: 'array', items: openApi(node.item, path, noDocAt(path, docs)), ...given({ minItems: node.minItems, maxItems: node.maxItems }),
        ...(node.uniqueBy === undefined ? {} : { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [node.uniqueBy] }),
      }
    case 'map':
      return { type: 'object', additionalProperties: openApi(node.value, path, noDocAt(path, docs)), ...given({ minProperties: node.minProperties, maxProperties: node.maxProperties }) }
    case 'object': {
      const [first, ...others] = node.oneOf.map(atMostOne)
      return {
        type: 'object',
        properties: Object.fromEntries(Object.keys(node.fields).sort().map((name) => [name, openApi(node.fields[name] as SchemaNode, path === '' ? name : `${path}.${name}`, docs)])),
        ...(node.required === undefined || node.required.length === 0 ? {} : { required: node.required }),
        ...first, ...(others.length === 0 ? {} : { allOf: others }),
      }
    }
  }
}

/** An item has its list's path, not its sentence. */
function noDocAt(own: string, docs: (path: string) => string | undefined): (path: string) => string | undefined {
  return (path) => (path === own ? undefined : docs(path))
}

/** protobuf's oneof, as Istio's CRDs say it: none of them, or exactly one. */
function atMostOne(fields: readonly string[]): OpenApi {
  const each = fields.map((field) => ({ required: [field] }))
  return { oneOf: [{ not: { anyOf: each } }, ...each] }
}

function integerLimits(min: number, max: number): OpenApi {
  if (max === 2 ** 31 - 1 && min === -(2 ** 31)) return { format: 'int32' }
  if (max === Number.MAX_SAFE_INTEGER) return { format: 'int64', ...(min === Number.MIN_SAFE_INTEGER ? {} : { minimum: min }) }
  return { minimum: min, maximum: max }
}

function durationRule(minMs: number): { message: string; rule: string } {
  return { message: `must be a duration of ${minMs} ms or more, such as 10s`, rule: `duration(self) >= duration('${minMs}ms')` }
}

/** Where 0 counts too, a pattern says as much as a rule, and costs nothing of what the API server allows a schema's rules. */
const anyDuration = '^([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|ms|s|m|h))*$|^0$'

function given<T extends object>(fields: T): Partial<T> {
  return Object.fromEntries(Object.entries(fields).filter(([, v]) => v !== undefined)) as Partial<T>
}
