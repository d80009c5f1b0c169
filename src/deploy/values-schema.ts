// JSON Schema of the values, for Helm (values.schema.json): the same keys and types that resolveValues checks, so that Helm refuses what kith warns of.
import { isRecord } from '#api'
import { defaultValues, freeKeys, withoutEffect, type Values } from './default-values.ts'

export function valuesSchema(): object {
  return { $schema: 'http://json-schema.org/draft-07/schema#', ...schemaOf(defaultValues, '') }
}

function schemaOf(value: unknown, path: string): object {
  if (freeKeys.has(path)) return { type: ['object', 'null'] }
  if (isRecord(value)) {
    const properties = Object.fromEntries(Object.entries(value).map(([key, below]) => [key, schemaOf(below, path === '' ? key : `${path}.${key}`)]))
    return { type: 'object', properties: { ...properties, ...takenFor(value, path) }, additionalProperties: isOpen(path) }
  }
  if (Array.isArray(value)) return { type: ['array', 'null'] }
  // A tag may look like a number.
  if (typeof value === 'string') return { type: ['string', 'number', 'null'] }
  return { type: [typeof value, 'null'] }
}

/** Helm hands `global` down from a chart above, with what other charts keep in it. */
const isOpen = (path: string): boolean => path === 'global'

/** Keys of Istio's charts that mean nothing here: a values file that has them still installs. */
function takenFor(known: Values, path: string): Readonly<Record<string, object>> {
  const own = Object.keys(withoutEffect).map((key) => (path === '' ? key : key.startsWith(`${path}.`) ? key.slice(path.length + 1) : '')).filter((key) => key !== '' && !key.includes('.') && !Object.hasOwn(known, key))
  return Object.fromEntries(own.map((key) => [key, {}]))
}
