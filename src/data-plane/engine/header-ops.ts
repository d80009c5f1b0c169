// Headers that a route adds, overwrites and removes, in Envoy's order: the most specific level first.
import { compileFormat, type Format } from './format.ts'
import type { Notes } from './notes.ts'
import type { HeaderValueOption } from '../../../generated/types/envoy/config/core/v3/base_pb.ts'

export interface HeaderOp {
  readonly kind: 'append' | 'addIfAbsent' | 'overwrite' | 'overwriteIfExists'
  /** Lower case. */
  readonly name: string
  readonly value: Format
}

export interface HeaderOps {
  readonly set: readonly HeaderOp[]
  /** Lower case. */
  readonly remove: readonly string[]
}

export const noHeaderOps: HeaderOps = { set: [], remove: [] }

const kinds: Readonly<Record<number, HeaderOp['kind']>> = { 0: 'append', 1: 'addIfAbsent', 2: 'overwrite', 3: 'overwriteIfExists' }
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

export function compileHeaderOps(toAdd: readonly HeaderValueOption[], toRemove: readonly string[], notes: Notes): HeaderOps {
  if (toAdd.length === 0 && toRemove.length === 0) return noHeaderOps
  const set: HeaderOp[] = []
  for (const option of toAdd) {
    const name = (option.header?.key ?? '').toLowerCase()
    const value = option.header?.value ?? ''
    if (!token.test(name)) {
      notes.error(`header name "${name}" is not one that can be set`)
      continue
    }
    if (/[\r\n\0]/.test(value)) {
      notes.error(`value of header ${name} has a line break or NUL`)
      continue
    }
    const kind = option.append === undefined ? (kinds[option.appendAction] ?? 'append') : option.append ? 'append' : 'overwrite'
    if (value === '' && !option.keepEmptyValue) continue
    set.push({ kind, name, value: compileFormat(value, notes) })
  }
  return { set, remove: toRemove.map((n) => n.toLowerCase()) }
}

/** `first` is applied before `then`. */
export function joinHeaderOps(first: HeaderOps, then: HeaderOps): HeaderOps {
  if (first === noHeaderOps) return then
  if (then === noHeaderOps) return first
  return { set: [...first.set, ...then.set], remove: [...first.remove, ...then.remove] }
}
