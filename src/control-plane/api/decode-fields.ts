// unknown → typed value, with every mistake as a fault at its path. Never throws; what could be read is kept.
import { nearest } from '#lib/nearest.ts'
import { parseDuration } from './duration.ts'
import type { SchemaNode } from './schema.ts'

/**
 * A mistake in one field. `unknown-field`: it does not exist there; `type`, `enum`, `oneof`: it can't be read at all;
 * `limit`: it can be read, but the CRD refuses it; `duration`: too short or too fine; `stranger`: no object of any API.
 */
export interface Fault {
  readonly path: string
  readonly message: string
  readonly help?: string
  readonly kind: 'unknown-field' | 'type' | 'enum' | 'oneof' | 'limit' | 'duration' | 'stranger'
}

export interface Decoding {
  readonly faults: Fault[]
  /** The schema of the whole document, to say where a misplaced field belongs. */
  readonly root: SchemaNode
  /** protobuf's JSON (MeshConfig) takes `match_labels` for `matchLabels` as well; CRDs do not. */
  readonly snakeCase?: boolean
}

type ObjectNode = SchemaNode & { type: 'object' }

export function decodeValue(schema: SchemaNode, value: unknown, path: string, into: Decoding): unknown {
  if (value === undefined) return undefined
  if (value === null) {
    // protobuf takes null for nothing; the CRDs mostly do not.
    if (schema.nullable !== true && schema.type !== 'any' && into.snakeCase !== true) into.faults.push({ path, kind: 'limit', message: `expected ${typeName(schema)}, found null`, help: 'leave the field out, or give it a value' })
    return undefined
  }
  const before = into.faults.length
  const decoded = decodeTyped(schema, value, path, into)
  if (schema.rules !== undefined && decoded !== undefined && into.faults.length === before) {
    for (const { holds, message } of schema.rules) if (!(holds as (v: unknown) => boolean)(decoded)) limit(into, path, message)
  }
  return decoded
}

function decodeTyped(schema: SchemaNode, value: unknown, path: string, into: Decoding): unknown {
  const wrong = (expected: string): undefined => {
    const help = expected === 'a string' && (typeof value === 'number' || typeof value === 'boolean') ? 'put it in quotes' : undefined
    into.faults.push({ path, kind: 'type', message: `expected ${expected}, found ${describe(value)}`, ...(help === undefined ? {} : { help }) })
    return undefined
  }
  switch (schema.type) {
    case 'any':
      return value
    case 'string':
      if (typeof value !== 'string') return wrong('a string')
      if (schema.minLength !== undefined && value.length < schema.minLength) limit(into, path, value === '' ? 'must not be empty' : `must have at least ${schema.minLength} characters`)
      else if (schema.maxLength !== undefined && value.length > schema.maxLength) limit(into, path, `must have at most ${schema.maxLength} characters`)
      else if (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value)) limit(into, path, `${JSON.stringify(value)} does not match ${schema.pattern}`)
      return value
    case 'boolean':
      return typeof value === 'boolean' ? value : wrong('true or false')
    case 'number':
      if (typeof value !== 'number') return wrong('a number')
      if ((schema.min !== undefined && value < schema.min) || (schema.max !== undefined && value > schema.max)) limit(into, path, `${value} is not ${range(schema.min, schema.max)}`)
      return value
    case 'integer':
      return decodeInteger(schema, value, path, into) ?? wrong('a whole number')
    case 'duration':
      return decodeDuration(schema, value, path, into) ?? wrong('a duration such as "10s"')
    case 'enum':
      return decodeEnum(schema.values, value, path, into)
    case 'list':
      return Array.isArray(value) ? decodeList(schema, value, path, into) : wrong('a list')
    case 'map': {
      if (!isRecord(value)) return wrong('a map')
      const out: Record<string, unknown> = {}
      for (const [key, item] of Object.entries(value)) {
        if (schema.numbered === true && !/^\d{1,10}$/.test(key)) {
          into.faults.push({ path: `${path}.${key}`, kind: 'type', message: `expected a number, found the name ${JSON.stringify(key)}` })
          continue
        }
        const decoded = decodeValue(schema.value, item, `${path}.${key}`, into)
        if (decoded !== undefined) Object.defineProperty(out, key, { value: decoded, enumerable: true, writable: true, configurable: true })
      }
      if (schema.minProperties !== undefined && Object.keys(value).length < schema.minProperties) limit(into, path, 'must not be empty')
      if (schema.maxProperties !== undefined && Object.keys(value).length > schema.maxProperties) limit(into, path, `must have at most ${schema.maxProperties} entries`)
      return out
    }
    case 'object':
      return isRecord(value) ? decodeObject(schema, value, path, into) : wrong('an object')
  }
}

function decodeInteger(schema: SchemaNode & { type: 'integer' }, value: unknown, path: string, into: Decoding): number | undefined {
  const quoted = typeof value === 'string' && /^-?\d{1,15}$/.test(value)
  const n = quoted ? Number(value) : value
  if (typeof n !== 'number' || !Number.isInteger(n)) return undefined
  if (n < schema.min || n > schema.max) into.faults.push({ path, kind: 'type', message: `${n} is not ${range(schema.min, schema.max)}` })
  else if (quoted && into.snakeCase !== true) into.faults.push({ path, kind: 'limit', message: `expected a whole number, found the string ${JSON.stringify(value)}`, help: `write ${n} without quotes` })
  return n
}

function decodeDuration(schema: SchemaNode & { type: 'duration' }, value: unknown, path: string, into: Decoding): number | undefined {
  const ms = typeof value === 'string' ? parseDuration(value) : undefined
  if (ms === undefined) return undefined
  const tooShort = `${value as string} is shorter than ${schema.minMs} ms`
  if (schema.loose === true) {
    if (schema.minMs > 0 && ms < schema.minMs) limit(into, path, tooShort)
  } else if (Math.abs(ms) < 1 && schema.minMs === 0) return ms
  else if (ms < schema.minMs) into.faults.push({ path, kind: 'duration', message: tooShort })
  else if (Math.abs(ms - Math.round(ms)) > 1e-9) into.faults.push({ path, kind: 'duration', message: `${value as string} is no whole number of milliseconds` })
  return ms
}

function decodeList(schema: SchemaNode & { type: 'list' }, value: readonly unknown[], path: string, into: Decoding): unknown[] {
  const out: unknown[] = []
  value.forEach((item, i) => {
    const at = `${path}[${i}]`
    if (item === null) into.faults.push({ path: at, kind: 'limit', message: 'this item of the list is empty' })
    const decoded = item === null ? undefined : decodeValue(schema.item, item, at, into)
    // An item that can't be read keeps its place as far as possible: the paths of those behind it stay right.
    if (decoded !== undefined) out.push(decoded)
    else if (schema.item.type === 'object') out.push({})
  })
  if (schema.minItems !== undefined && value.length < schema.minItems) limit(into, path, value.length === 0 ? 'must not be empty' : `must have at least ${schema.minItems} items`)
  if (schema.maxItems !== undefined && value.length > schema.maxItems) limit(into, path, `must have at most ${schema.maxItems} items`)
  if (schema.uniqueBy !== undefined) {
    const seen = new Set<unknown>()
    out.forEach((item, i) => {
      const key = (item as Record<string, unknown>)[schema.uniqueBy as string]
      if (key !== undefined && seen.has(key)) limit(into, `${path}[${i}].${schema.uniqueBy}`, `${JSON.stringify(key)} stands in this list already`)
      seen.add(key)
    })
  }
  return out
}

function decodeObject(schema: ObjectNode, value: Readonly<Record<string, unknown>>, path: string, into: Decoding): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  const misspelt = new Set<string>()
  const strange: string[] = []
  for (const [key, item] of Object.entries(value)) {
    const at = join(path, key)
    const name = fieldName(schema, key, into)
    if (name === undefined) {
      const near = nearestField(schema, key)
      if (near !== undefined) misspelt.add(near)
      else strange.push(key)
      into.faults.push(unknownField(key, at, near, into))
      continue
    }
    const decoded = decodeValue(schema.fields[name] as SchemaNode, item, at, into)
    if (decoded !== undefined) out[name] = decoded
  }
  meantByRequired(schema, value, path, strange, misspelt, into)
  for (const name of schema.required ?? []) {
    if ((value[name] === undefined || value[name] === null) && !misspelt.has(name)) limit(into, join(path, name), 'this field is required')
  }
  for (const group of schema.oneOf) {
    const set = group.filter((f) => out[f] !== undefined)
    if (set.length > 1) into.faults.push({ path: join(path, set[1] as string), kind: 'oneof', message: `only one of ${set.join(', ')} may be set` })
  }
  return out
}

/** One required field is missing, and one unknown field holds a value that it could take: it is likely to be meant. */
function meantByRequired(schema: ObjectNode, value: Readonly<Record<string, unknown>>, path: string, strange: readonly string[], misspelt: Set<string>, into: Decoding): void {
  const missing = (schema.required ?? []).filter((name) => value[name] === undefined && !misspelt.has(name))
  const [name] = missing
  const [key] = strange
  if (name === undefined || key === undefined || missing.length > 1 || strange.length > 1) return
  const couldBe = { string: 'string', boolean: 'boolean', integer: 'number', number: 'number' }[schema.fields[name]?.type as string]
  const at = into.faults.findIndex((f) => f.kind === 'unknown-field' && f.path === join(path, key))
  const fault = into.faults[at]
  if (fault === undefined || couldBe !== typeof value[key]) return
  into.faults[at] = { ...fault, help: `${name} is required; did you mean "${name}"?` }
  misspelt.add(name)
}

function fieldName(schema: ObjectNode, key: string, into: Decoding): string | undefined {
  if (Object.hasOwn(schema.fields, key)) return key
  if (into.snakeCase !== true || !key.includes('_')) return undefined
  const camel = camelCase(key)
  return Object.hasOwn(schema.fields, camel) ? camel : undefined
}

const camelCase = (key: string): string => key.replace(/[_-]([a-z0-9])/g, (_m, c: string) => c.toUpperCase())

function nearestField(schema: ObjectNode, key: string): string | undefined {
  const camel = camelCase(key)
  return Object.hasOwn(schema.fields, camel) ? camel : nearest(key, Object.keys(schema.fields))
}

function unknownField(key: string, at: string, near: string | undefined, into: Decoding): Fault {
  const elsewhere = near === undefined ? places(into.root, key).filter((p) => p !== at) : []
  const help = near !== undefined ? `did you mean "${near}"?` : elsewhere.length > 0 ? `it belongs at ${elsewhere.slice(0, 2).join(' or ')}` : undefined
  return { path: at, kind: 'unknown-field', message: `unknown field "${at}"`, ...(help === undefined ? {} : { help }) }
}

/** Where in the whole schema a field of this name stands, nearest to the root first. */
function places(root: SchemaNode, name: string): string[] {
  const found: string[] = []
  const queue: [SchemaNode, string, number][] = [[root, '', 0]]
  while (queue.length > 0 && found.length < 2) {
    const [node, path, depth] = queue.shift() as [SchemaNode, string, number]
    if (depth > 7) continue
    if (node.type === 'object') {
      for (const [field, child] of Object.entries(node.fields)) {
        const at = join(path, field)
        if (field === name) found.push(at)
        queue.push([child, at, depth + 1])
      }
    } else if (node.type === 'list') queue.push([node.item, `${path}[]`, depth + 1])
  }
  return found
}

function decodeEnum(values: readonly string[], value: unknown, path: string, into: Decoding): string | undefined {
  if (typeof value === 'string' && values.includes(value)) return value
  const shown = values.filter((v) => v !== 'UNSET' && v !== 'UNSPECIFIED' && v !== 'DEFAULT')
  const numbered = typeof value === 'number' && Number.isInteger(value) ? values[value] : undefined
  const near = numbered ?? (typeof value === 'string' ? nearest(value, values) : undefined)
  if (numbered !== undefined && into.snakeCase === true) return numbered
  into.faults.push({
    path,
    kind: numbered === undefined ? 'enum' : 'limit',
    message: `${JSON.stringify(value)} is not a value of this field; it takes ${shown.slice(0, -1).join(', ')}${shown.length > 1 ? ' or ' : ''}${shown.at(-1)}`,
    ...(near === undefined ? {} : { help: `did you mean ${near}?` }),
  })
  return numbered
}

function typeName(schema: SchemaNode): string {
  switch (schema.type) {
    case 'object': return 'an object'
    case 'map': return 'a map'
    case 'list': return 'a list'
    case 'boolean': return 'true or false'
    case 'number': return 'a number'
    case 'integer': return 'a whole number'
    case 'duration': return 'a duration such as "10s"'
    default: return 'a string'
  }
}

function limit(into: Decoding, path: string, message: string): void {
  into.faults.push({ path, kind: 'limit', message })
}

const join = (path: string, field: string): string => (path === '' ? field : `${path}.${field}`)

function range(min: number | undefined, max: number | undefined): string {
  if (min === undefined) return `at most ${max}`
  return max === undefined ? `at least ${min}` : `in the range ${min} to ${max}`
}

/** protobuf can't tell an empty list from none, so nobody after the CRD's own rules may. Changes `value`. */
export function dropEmptyLists(schema: SchemaNode, value: unknown): void {
  if (schema.type === 'list' && Array.isArray(value)) for (const item of value) dropEmptyLists(schema.item, item)
  if (schema.type === 'map' && isRecord(value)) for (const item of Object.values(value)) dropEmptyLists(schema.value, item)
  if (schema.type !== 'object' || !isRecord(value)) return
  for (const [name, item] of Object.entries(value)) {
    if (Array.isArray(item) && item.length === 0 && schema.fields[name]?.type === 'list') delete value[name]
    else if (typeof item === 'object') dropEmptyLists(schema.fields[name] as SchemaNode, item)
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'string' ? `the string ${JSON.stringify(value.length > 40 ? value.slice(0, 40) + '…' : value)}` : `${typeof value} ${String(value)}`
}
