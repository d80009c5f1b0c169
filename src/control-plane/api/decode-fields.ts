// unknown → typed value, with every mistake as a fault at its path. Never throws; what could be read is kept.
import { nearest } from '#lib/nearest.ts'
import { parseDuration } from './duration.ts'
import type { SchemaNode } from './schema.ts'

/** A mistake in one field. `unknown`: the field does not exist there; `misplaced` names where it does. */
export interface Fault {
  readonly path: string
  readonly message: string
  readonly help?: string
  readonly kind: 'unknown-field' | 'type' | 'enum' | 'oneof'
}

export interface Decoding {
  readonly faults: Fault[]
  /** The schema of the whole document, to say where a misplaced field belongs. */
  readonly root: SchemaNode
}

export function decodeValue(schema: SchemaNode, value: unknown, path: string, into: Decoding): unknown {
  if (value === null || value === undefined) return undefined
  const wrong = (expected: string): undefined => {
    into.faults.push({ path, kind: 'type', message: `${path}: expected ${expected}, found ${describe(value)}` })
    return undefined
  }
  switch (schema.type) {
    case 'any':
      return value
    case 'string':
      return typeof value === 'string' ? value : wrong('a string')
    case 'boolean':
      return typeof value === 'boolean' ? value : wrong('true or false')
    case 'number':
      return typeof value === 'number' ? value : wrong('a number')
    case 'integer': {
      const n = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value
      if (typeof n !== 'number' || !Number.isInteger(n)) return wrong('a whole number')
      return n >= schema.min && n <= schema.max ? n : wrong(`a whole number from ${schema.min} to ${schema.max}`)
    }
    case 'duration': {
      const ms = typeof value === 'string' ? parseDuration(value) : undefined
      return ms ?? wrong('a duration such as "10s"')
    }
    case 'enum':
      return decodeEnum(schema.values, value, path, into)
    case 'list':
      if (!Array.isArray(value)) return wrong('a list')
      return value.map((item, i) => decodeValue(schema.item, item, `${path}[${i}]`, into)).filter((item) => item !== undefined)
    case 'map': {
      if (!isRecord(value)) return wrong('a map')
      const out: Record<string, unknown> = {}
      for (const [key, item] of Object.entries(value)) {
        const decoded = decodeValue(schema.value, item, `${path}.${key}`, into)
        if (decoded !== undefined) out[key] = decoded
      }
      return out
    }
    case 'object':
      return isRecord(value) ? decodeObject(schema, value, path, into) : wrong('an object')
  }
}

function decodeObject(schema: SchemaNode & { type: 'object' }, value: Readonly<Record<string, unknown>>, path: string, into: Decoding): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    const at = path === '' ? key : `${path}.${key}`
    const name = fieldName(schema, key)
    if (name === undefined) {
      into.faults.push(unknownField(schema, key, at, into))
      continue
    }
    const decoded = decodeValue(schema.fields[name] as SchemaNode, item, at, into)
    if (decoded !== undefined) out[name] = decoded
  }
  for (const group of schema.oneOf) {
    const set = group.filter((f) => out[f] !== undefined)
    if (set.length > 1) into.faults.push({ path: `${path}.${set[1]}`, kind: 'oneof', message: `${path}: only one of ${set.join(', ')} may be set` })
  }
  return out
}

/** protobuf's JSON takes `match_labels` for `matchLabels` as well. */
function fieldName(schema: SchemaNode & { type: 'object' }, key: string): string | undefined {
  if (Object.hasOwn(schema.fields, key)) return key
  const camel = key.includes('_') ? key.replace(/_([a-z0-9])/g, (_m, c: string) => c.toUpperCase()) : key
  return camel !== key && Object.hasOwn(schema.fields, camel) ? camel : undefined
}

function unknownField(schema: SchemaNode & { type: 'object' }, key: string, at: string, into: Decoding): Fault {
  const near = nearest(key, Object.keys(schema.fields))
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
        const at = path === '' ? field : `${path}.${field}`
        if (field === name) found.push(at)
        queue.push([child, at, depth + 1])
      }
    } else if (node.type === 'list') queue.push([node.item, `${path}[]`, depth + 1])
  }
  return found
}

function decodeEnum(values: readonly string[], value: unknown, path: string, into: Decoding): string | undefined {
  if (typeof value === 'string' && values.includes(value)) return value
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < values.length) return values[value]
  const shown = values.filter((v) => v !== 'UNSET' && v !== 'UNSPECIFIED' && v !== 'DEFAULT')
  const near = typeof value === 'string' ? nearest(value, values) : undefined
  into.faults.push({
    path,
    kind: 'enum',
    message: `${path}: ${JSON.stringify(value)} is not a value of this field; it takes ${shown.slice(0, -1).join(', ')}${shown.length > 1 ? ' or ' : ''}${shown.at(-1)}`,
    ...(near === undefined ? {} : { help: `did you mean ${near}?` }),
  })
  return undefined
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'an object'
  return typeof value === 'string' ? `the string ${JSON.stringify(value.length > 40 ? value.slice(0, 40) + '…' : value)}` : `${typeof value} ${String(value)}`
}
