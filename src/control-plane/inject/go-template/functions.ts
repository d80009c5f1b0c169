// What templates may call: Go's own, the part of sprig that injection templates use. Pure: no files, no environment, no network, no chance.
import { createHash } from 'node:crypto'
import { isRecord } from '#api'
import type { TemplateFunctions } from './run.ts'
import { isTrue, printed, Struct, unwrap } from './values.ts'

export interface Yaml {
  readonly parse: (text: string) => unknown
  readonly print: (value: unknown) => string
}

const text = (value: unknown): string => (value === undefined || value === null ? '' : printed(value))
const list = (value: unknown): unknown[] => {
  if (Array.isArray(value)) return value
  if (value === undefined || value === null) return []
  throw new Error(`a list is needed, not ${printed(value).slice(0, 40)}`)
}
const number = (value: unknown): number => {
  const n = typeof value === 'boolean' ? Number(value) : Number(text(value) === '' ? 0 : text(value))
  return Number.isFinite(n) ? n : 0
}
const whole = (value: unknown): number => Math.trunc(number(value))
const map = (value: unknown): Record<string, unknown> => {
  const plain = unwrap(value)
  if (isRecord(plain)) return plain
  if (plain === undefined || plain === null) return {}
  throw new Error(`a map is needed, not ${printed(value).slice(0, 40)}`)
}
/** Go's zero value equals what is not set. */
const same = (a: unknown, b: unknown): boolean => {
  const [x, y] = [unwrap(a), unwrap(b)]
  if (x === undefined || x === null) return !isTrue(y)
  if (y === undefined || y === null) return !isTrue(x)
  return typeof x === typeof y || typeof x === 'object' ? JSON.stringify(x) === JSON.stringify(y) : printed(x) === printed(y)
}
const less = (a: unknown, b: unknown): boolean => (typeof a === 'string' && typeof b === 'string' ? a < b : number(a) < number(b))
const pairs = (args: readonly unknown[]): Record<string, unknown> => Object.fromEntries(Array.from({ length: Math.ceil(args.length / 2) }, (_, i) => [text(args[2 * i]), args[2 * i + 1]]))
const quoted = (value: string): string => JSON.stringify(value)

function index(value: unknown, ...keys: unknown[]): unknown {
  let at = value
  for (const key of keys) {
    if (at === undefined || at === null) return undefined
    if (Array.isArray(at)) {
      if (typeof key !== 'number' || key < 0 || key >= at.length) throw new Error(`there is no item ${printed(key)} in a list of ${at.length}`)
      at = at[key]
    } else if (at instanceof Struct) at = at.field(text(key))
    else if (isRecord(at)) at = Object.hasOwn(at, text(key)) ? at[text(key)] : undefined
    else throw new Error(`${printed(at).slice(0, 40)} has no items`)
  }
  return at
}

/** fmt.Sprintf, for the verbs of templates. */
function printf(format: unknown, ...args: unknown[]): string {
  let next = 0
  return text(format).replace(/%([-+# 0]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g, (_, flags: string, width: string, precision: string | undefined, verb: string) => {
    if (verb === '%') return '%'
    const arg = args[next++]
    const body = verb === 'q' ? quoted(text(arg)) : verb === 'd' ? String(whole(arg)) : verb === 'f' ? number(arg).toFixed(precision === undefined ? 6 : Number(precision)) : verb === 'x' ? whole(arg).toString(16) : verb === 't' ? String(isTrue(arg)) : printed(arg ?? '')
    const size = Math.min(Number(width === '' ? 0 : width), 1000)
    return flags.includes('-') ? body.padEnd(size) : body.padStart(size, flags.includes('0') ? '0' : ' ')
  })
}

/** Every line, as sprig's `indent` and `nindent`. */
const indentAll = (spaces: unknown, value: unknown): string => text(value).split('\n').map((l) => ' '.repeat(Math.min(whole(spaces), 200)) + l).join('\n')

export function goFunctions(yaml: Yaml): TemplateFunctions {
  return {
    // text/template
    not: (v) => !isTrue(v), and: (...v) => v.find((x) => !isTrue(x)) ?? v.at(-1), or: (...v) => v.find((x) => isTrue(x)) ?? v.at(-1),
    eq: (a, ...b) => b.some((x) => same(a, x)), ne: (a, b) => !same(a, b), lt: less, le: (a, b) => !less(b, a), gt: (a, b) => less(b, a), ge: (a, b) => !less(a, b),
    len: (v) => (typeof v === 'string' ? v.length : Array.isArray(v) ? v.length : Object.keys(map(v)).length),
    index, slice: (v, from, to) => (typeof v === 'string' ? v.slice(whole(from), to === undefined ? undefined : whole(to)) : list(v).slice(whole(from), to === undefined ? undefined : whole(to))),
    print: (...v) => v.map(text).join(''), println: (...v) => `${v.map(text).join(' ')}\n`, printf,
    // sprig: values
    default: (otherwise, v) => (isTrue(v) ? v : otherwise), empty: (v) => !isTrue(v), coalesce: (...v) => v.find((x) => isTrue(x)), ternary: (yes, no, v) => (isTrue(v) ? yes : no),
    required: (message, v) => {
      if (!isTrue(v)) throw new Error(text(message))
      return v
    },
    fail: (message) => {
      throw new Error(text(message))
    },
    kindIs: (kind, v) => kind === kindOf(v), kindOf, toString: text, int: whole, int64: whole, atoi: whole, float64: number,
    // sprig: text
    quote: (...v) => v.filter((x) => x !== undefined && x !== null).map((x) => quoted(text(x))).join(' '), squote: (...v) => v.filter((x) => x !== undefined && x !== null).map((x) => `'${text(x)}'`).join(' '),
    lower: (v) => text(v).toLowerCase(), upper: (v) => text(v).toUpperCase(), trim: (v) => text(v).trim(), trimAll: (cut, v) => trimmed(text(v), text(cut)), trimSuffix: (end, v) => (text(end) !== '' && text(v).endsWith(text(end)) ? text(v).slice(0, -text(end).length) : text(v)),
    trimPrefix: (start, v) => (text(v).startsWith(text(start)) ? text(v).slice(text(start).length) : text(v)), hasPrefix: (start, v) => text(v).startsWith(text(start)), hasSuffix: (end, v) => text(v).endsWith(text(end)),
    replace: (from, to, v) => text(v).replaceAll(text(from), text(to)), splitList: (by, v) => text(v).split(text(by)), split: (by, v) => Object.fromEntries(text(v).split(text(by)).map((p, i) => [`_${i}`, p])),
    trunc: (n, v) => (whole(n) >= 0 ? text(v).slice(0, whole(n)) : text(v).slice(whole(n))), nindent: (n, v) => `\n${indentAll(n, v)}`, repeat: (n, v) => text(v).repeat(Math.min(Math.max(0, whole(n)), 1000)), join: (by, v) => (Array.isArray(v) ? v.map(text).join(text(by)) : text(v)),
    b64enc: (v) => Buffer.from(text(v)).toString('base64'), b64dec: (v) => Buffer.from(text(v), 'base64').toString(), sha256sum: (v) => createHash('sha256').update(text(v)).digest('hex'),
    // sprig: numbers
    add: (...v) => v.reduce<number>((a, b) => a + whole(b), 0), add1: (v) => whole(v) + 1, sub: (a, b) => whole(a) - whole(b), mul: (...v) => v.reduce<number>((a, b) => a * whole(b), 1), div: (a, b) => divided(whole(a), whole(b)), mod: (a, b) => divided(whole(a), whole(b), true),
    max: (...v) => Math.max(...v.map(whole)), min: (...v) => Math.min(...v.map(whole)), until: (n) => Array.from({ length: Math.min(Math.max(0, whole(n)), 10_000) }, (_, i) => i),
    // sprig: lists and maps
    list: (...v) => v, tuple: (...v) => v, append: (v, item) => [...list(v), item], prepend: (v, item) => [item, ...list(v)], concat: (...v) => v.flatMap(list), first: (v) => list(v)[0], last: (v) => list(v).at(-1), rest: (v) => list(v).slice(1), initial: (v) => list(v).slice(0, -1),
    has: (item, v) => list(v).some((x) => same(x, item)), without: (v, ...items) => list(v).filter((x) => !items.some((i) => same(i, x))), uniq: (v) => list(v).filter((x, i, all) => all.findIndex((y) => same(x, y)) === i), compact: (v) => list(v).filter(isTrue), sortAlpha: (v) => list(v).map(text).toSorted(), reverse: (v) => list(v).toReversed(),
    dict: (...v) => pairs(v), get: (v, key) => index(v, key) ?? '', hasKey: (v, key) => Object.hasOwn(map(v), text(key)), keys: (...v) => v.flatMap((m) => Object.keys(map(m))), values: (v) => Object.values(map(v)), pick: (v, ...k) => Object.fromEntries(Object.entries(map(v)).filter(([n]) => k.includes(n))),
    omit: (v, ...k) => Object.fromEntries(Object.entries(map(v)).filter(([n]) => !k.flat().includes(n))), merge: (...v) => v.toReversed().reduce<Record<string, unknown>>((a, b) => ({ ...a, ...map(b) }), {}), mergeOverwrite: (...v) => v.reduce<Record<string, unknown>>((a, b) => ({ ...a, ...map(b) }), {}),
    set: (v, key, value) => Object.assign(map(v), { [text(key)]: value }), unset: (v, key) => (delete map(v)[text(key)], v), deepCopy: (v) => structuredClone(unwrap(v)), dig: (...v) => index(v.at(-1), ...v.slice(0, -2)) ?? v.at(-2),
    // JSON and YAML
    toJson: (v) => JSON.stringify(unwrap(v) ?? null), fromJson: (v) => JSON.parse(text(v)) as unknown, toYaml: (v) => yaml.print(unwrap(v) ?? null).replace(/\n$/, ''), fromYaml: (v) => yaml.parse(text(v)),
  }
}

function kindOf(value: unknown): string {
  if (value === undefined || value === null) return 'invalid'
  if (Array.isArray(value)) return 'slice'
  if (value instanceof Struct) return 'struct'
  return typeof value === 'object' ? 'map' : typeof value === 'boolean' ? 'bool' : typeof value === 'number' ? 'float64' : 'string'
}

function divided(a: number, b: number, rest = false): number {
  if (b === 0) throw new Error('division by zero')
  return rest ? a % b : Math.trunc(a / b)
}

function trimmed(value: string, cut: string): string {
  let from = 0
  let to = value.length
  while (from < to && cut.includes(value[from] ?? '')) from++
  while (to > from && cut.includes(value[to - 1] ?? '')) to--
  return value.slice(from, to)
}
