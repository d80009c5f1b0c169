// Conditions on headers, said to Envoy as strictly as its RBAC can say it. Envoy matches each line of a header by itself and asks whether any matches (since 1.38):
// so a list on one line needs an expression, and that no other line stands beside the wanted one needs another. Our own sidecar reads them in the same way.
import type { Obj } from './json.ts'

/** Longer ones are not taken apart: their expressions would outgrow what a proxy takes. */
const maxCharacters = 200
const quoted = (value: string): string => value.replace(/[.+?^${}()|[\]\\*]/g, '\\$&')
const regex = (name: string, expression: string): Obj => ({ header: { name, stringMatch: { safeRegex: { regex: expression } } } })

/** `value` as one of a line's comma-separated values; nothing for `*`, which asks for presence. */
export function asMember(name: string, value: string): Obj[] {
  if (value === '*' || value.length > maxCharacters) return []
  const [before, after] = ['(?:.*,)?[ \\t]*', '[ \\t]*(?:,.*)?']
  if (value.endsWith('*')) return [regex(name, `${before}${quoted(value.slice(0, -1))}.*`)]
  if (value.startsWith('*')) return [regex(name, `.*${quoted(value.slice(1))}${after}`)]
  return [regex(name, `${before}${quoted(value)}${after}`)]
}

/** A line that is none of `values`; undefined: nothing is, or it can't be said. */
export function anyOther(name: string, values: readonly string[]): Obj | undefined {
  if (values.includes('*') || values.join('').length > maxCharacters || !values.every((v) => /^[\x20-\x7e]+$/.test(v))) return undefined
  const suffixes = values.filter((v) => v.startsWith('*'))
  if (suffixes.length > 0 && suffixes.length < values.length) return undefined
  const backwards = suffixes.length > 0
  const tree: Tree = { next: new Map(), exact: false, prefix: false }
  for (const value of values) plant(tree, backwards ? value.slice(1).split('').toReversed().join('') : value.replace(/\*$/, ''), backwards || value.endsWith('*'))
  const expression = others(tree, backwards)
  return expression === undefined ? undefined : regex(name, expression)
}

interface Tree {
  readonly next: Map<string, Tree>
  /** A value ends here. */
  exact: boolean
  /** … whatever follows. */
  prefix: boolean
}

function plant(tree: Tree, value: string, prefix: boolean): void {
  let at = tree
  for (const character of value) {
    const next = at.next.get(character) ?? { next: new Map<string, Tree>(), exact: false, prefix: false }
    at.next.set(character, next)
    at = next
  }
  if (prefix) at.prefix = true
  else at.exact = true
}

/** What follows, where nothing planted does. */
function others({ next, exact, prefix }: Tree, backwards: boolean): string | undefined {
  if (prefix) return undefined
  const first = [...next.keys()].map((c) => (/[\]\\^-]/.test(c) ? `\\${c}` : c)).join('')
  const join = (character: string, rest: string): string => (backwards ? rest + character : character + rest)
  const deeper = [...next].flatMap(([character, tree]) => {
    const rest = others(tree, backwards)
    return rest === undefined ? [] : [join(quoted(character), rest)]
  })
  return `(?:${[...(exact ? [] : ['']), join(first === '' ? '.' : `[^${first}]`, '.*'), ...deeper].join('|')})`
}
