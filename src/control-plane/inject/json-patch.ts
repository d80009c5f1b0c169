// What changed between two documents, as RFC 6902 operations. Lists whose items have names are told apart by name, so that a sidecar put first is one `add`:
// a positional diff would rewrite every container behind it, and look expensive doing so on a pod made to hurt.
import { isDeepStrictEqual } from 'node:util'
import { isRecord } from '#api'

export type PatchOperation =
  | { readonly op: 'add' | 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string }
  | { readonly op: 'move'; readonly from: string; readonly path: string }

type Obj = Readonly<Record<string, unknown>>

/** Applied in order to `before`, they give `after`; both plain JSON. */
export function jsonPatch(before: unknown, after: unknown): PatchOperation[] {
  const operations: PatchOperation[] = []
  compare(before, after, '', operations)
  return operations
}

function compare(before: unknown, after: unknown, path: string, out: PatchOperation[]): void {
  if (before === after) return
  if (isRecord(before) && isRecord(after)) return compareFields(before, after, path, out)
  const names = Array.isArray(before) && Array.isArray(after) ? [namesOf(before), namesOf(after)] : []
  if (names[0] !== undefined && names[1] !== undefined) return compareNamed(before as Obj[], after as Obj[], names[0], names[1], path, out)
  if (!isDeepStrictEqual(before, after)) out.push({ op: 'replace', path, value: after })
}

function compareFields(before: Obj, after: Obj, path: string, out: PatchOperation[]): void {
  for (const key of Object.keys(before)) if (!Object.hasOwn(after, key)) out.push({ op: 'remove', path: `${path}/${escaped(key)}` })
  for (const [key, value] of Object.entries(after)) {
    if (Object.hasOwn(before, key)) compare(before[key], value, `${path}/${escaped(key)}`, out)
    else out.push({ op: 'add', path: `${path}/${escaped(key)}`, value })
  }
}

function compareNamed(before: readonly Obj[], after: readonly Obj[], beforeNames: readonly string[], afterNames: readonly string[], path: string, out: PatchOperation[]): void {
  const stays = new Set(afterNames)
  const now: { name: string; item: Obj }[] = before.map((item, i) => ({ name: beforeNames[i] ?? '', item }))
  for (let i = now.length - 1; i >= 0; i--) {
    if (stays.has(now[i]?.name ?? '')) continue
    out.push({ op: 'remove', path: `${path}/${i}` })
    now.splice(i, 1)
  }
  after.forEach((item, i) => {
    const name = afterNames[i] ?? ''
    const at = now.findIndex((n, j) => j >= i && n.name === name)
    if (at === -1) {
      out.push({ op: 'add', path: `${path}/${i === now.length ? '-' : i}`, value: item })
      now.splice(i, 0, { name, item })
      return
    }
    const [found] = now.splice(at, 1)
    if (at !== i) out.push({ op: 'move', from: `${path}/${at}`, path: `${path}/${i}` })
    now.splice(i, 0, { name, item })
    compare(found?.item, item, `${path}/${i}`, out)
  })
}

/** undefined: not a list of things with names of their own. */
function namesOf(list: readonly unknown[]): string[] | undefined {
  const names = list.map((item) => (isRecord(item) && typeof item['name'] === 'string' ? item['name'] : undefined))
  return names.every((n) => n !== undefined) && new Set(names).size === names.length ? names : undefined
}

function escaped(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1')
}
