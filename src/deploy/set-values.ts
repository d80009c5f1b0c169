// `--set a.b=c`: Helm's little language. Pure; a text that can't be read is a sentence, never a throw.
import type { Values } from './default-values.ts'

/** `a.b=1`, `a.list[0].x=y`, `a={x,y}`, `a.b\.c=d`; several parted by commas. `text`: every value stays text (--set-string). */
export function parseSet(given: string, text = false): { readonly value: Values } | { readonly fault: string } {
  const out: Record<string, unknown> = {}
  for (const part of splitOutside(given, ',')) {
    const equals = indexOutside(part, '=')
    if (equals < 1) return { fault: `"${part}" is no key=value` }
    const keys = pathOf(part.slice(0, equals))
    if (keys === undefined) return { fault: `"${part.slice(0, equals)}" is no path such as pilot.replicaCount` }
    put(out, keys, valueOf(part.slice(equals + 1), text))
  }
  return { value: out }
}

function valueOf(raw: string, text: boolean): unknown {
  if (raw.startsWith('{') && raw.endsWith('}')) return raw === '{}' ? [] : splitOutside(raw.slice(1, -1), ',').map((item) => valueOf(item, text))
  const plain = raw.replace(/\\(.)/g, '$1')
  if (text) return plain
  if (raw === 'true' || raw === 'false') return raw === 'true'
  if (raw === 'null') return null
  return /^-?(0|[1-9]\d{0,14})$/.test(raw) ? Number(raw) : plain
}

function pathOf(path: string): (string | number)[] | undefined {
  const keys: (string | number)[] = []
  for (const part of splitOutside(path, '.')) {
    const match = /^(.*?)((?:\[\d+\])*)$/.exec(part)
    if (match === null || match[1] === '') return undefined
    keys.push((match[1] as string).replace(/\\(.)/g, '$1'), ...[...(match[2] as string).matchAll(/\d+/g)].map((m) => Number(m[0])))
  }
  return keys.some((k) => k === '__proto__') ? undefined : keys
}

function put(into: Record<string, unknown>, keys: readonly (string | number)[], value: unknown): void {
  let at: Record<string | number, unknown> = into
  keys.slice(0, -1).forEach((key, i) => {
    if (typeof at[key] !== 'object' || at[key] === null) at[key] = typeof keys[i + 1] === 'number' ? [] : {}
    at = at[key] as Record<string | number, unknown>
  })
  at[keys.at(-1) as string] = value
}

/** Splits at a sign that is neither behind a backslash nor inside braces. */
function splitOutside(text: string, sign: string): string[] {
  const parts: string[] = []
  let rest = text
  for (let i = indexOutside(rest, sign); i !== -1; i = indexOutside(rest, sign)) {
    parts.push(rest.slice(0, i))
    rest = rest.slice(i + 1)
  }
  return [...parts, rest].filter((p) => p !== '')
}

function indexOutside(text: string, sign: string): number {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const c = text[i]
    if (c === '\\') i++
    else if (c === '{') depth++
    else if (c === '}') depth--
    else if (c === sign && depth === 0) return i
  }
  return -1
}
