// A file of several documents, cut so that what is not changed keeps its bytes, and what is keeps its comments.
import { isAlias, isMap, isScalar, isSeq, parseDocument, Document, type Node, type Pair, type YAMLMap } from 'yaml'
import { isRecord } from '#api'
import { parseYaml } from '#sources'
import { kubectlScalars } from './kubectl-scalars.ts'
import { newNode } from './yaml-text.ts'

export interface DocumentPart {
  readonly text: string
  /** 1-based, of its first line in the file. */
  readonly line: number
}

export interface ParsedPart {
  readonly document: Document
  readonly value: unknown
  readonly errors: readonly { readonly line: number; readonly message: string }[]
}

/** Parts begin with their `---` line, if they have one; joined they are the file again. */
export function splitDocuments(text: string): DocumentPart[] {
  const starts = [0, ...[...text.matchAll(/^---(?=\s|$)/gm)].map((m) => m.index).filter((i) => i > 0)]
  let line = 1
  return starts.map((start, i) => {
    const part = { text: text.slice(start, starts[i + 1]), line }
    line += part.text.split('\n').length - 1
    return part
  })
}

export function joinDocuments(parts: readonly string[]): string {
  return parts.map((p, i) => (i < parts.length - 1 && p !== '' && !p.endsWith('\n') ? p + '\n' : p)).join('')
}

export function parseParts(part: DocumentPart): ParsedPart {
  const document = parseDocument(part.text, { ...kubectlScalars, strict: true })
  const errors = document.errors.map((e) => ({ line: e.linePos?.[0].line ?? 1, message: e.message.replace(/ at line \d+, column \d+:[^]*$/, '') }))
  if (errors.length > 0) return asKubectlReadsIt(part) ?? { document, value: undefined, errors }
  try {
    return { document, value: document.toJS({ maxAliasCount: 10_000 }) as unknown, errors }
  } catch (error) {
    return { document, value: undefined, errors: [{ line: 1, message: (error as Error).message }] }
  }
}

/** Within `[…]` and `{…}` indentation means nothing to kubectl, and much to yaml: such a document is read, and written anew where it changes. */
function asKubectlReadsIt(part: DocumentPart): ParsedPart | undefined {
  const { documents, problems } = parseYaml(part.text, '')
  const value = documents[0]?.value
  return documents.length === 1 && problems.length === 0 ? { document: new Document(value, kubectlScalars), value, errors: [] } : undefined
}

/** The document's text with `value` in place of what it held; nodes that say the same already stay, comments with them. */
export function writeBack(part: DocumentPart, document: Document, value: unknown): string {
  document.contents = sync(document, document.contents as Node | null, value) as never
  const head = /^---[^\n]*(\n|$)/.exec(part.text)?.[0] ?? ''
  document.directives = undefined as never
  const body = document.toString({ lineWidth: 0, flowCollectionPadding: false }).replace(/^---\s*\n/, '')
  return head + (body.endsWith('\n') ? body : `${body}\n`)
}

function sync(document: Document, node: Node | null, value: unknown): Node {
  if (isAlias(node)) {
    const target = node.resolve(document)
    return target !== undefined && JSON.stringify(target.toJS(document)) === JSON.stringify(value) ? node : newNode(document, value)
  }
  if (isMap(node) && isRecord(value) && !hasMerge(node)) return syncMap(document, node, value)
  if (isSeq(node) && Array.isArray(value)) {
    const old = [...node.items] as Node[]
    const taken = new Set<Node>()
    node.items = value.map((item: unknown, i) => {
      const same = isRecord(item) && 'name' in item ? namesake(document, old.filter((o) => !taken.has(o)), item) : old.slice(i, i + 1).find((o) => !taken.has(o))
      if (same !== undefined) taken.add(same)
      return sync(document, same ?? null, item)
    })
    if (value.length > 0 && value.length !== old.length) node.flow = false
    return node
  }
  if (isScalar(node) && node.value === value) return node
  if (node !== null && !isScalar(node) && JSON.stringify((node as YAMLMap).toJS(document)) === JSON.stringify(value)) return node
  return newNode(document, value)
}

/** Names may stand twice in a list (one volume mounted at two paths): the one that says the same comes first. */
function namesake(document: Document, nodes: readonly Node[], item: Readonly<Record<string, unknown>>): Node | undefined {
  const named = nodes.filter((o) => isMap(o) && o.get('name') === item['name'])
  return named.length < 2 ? named[0] : (named.find((o) => JSON.stringify((o as YAMLMap).toJS(document)) === JSON.stringify(item)) ?? named[0])
}

function syncMap(document: Document, node: YAMLMap, value: Readonly<Record<string, unknown>>): YAMLMap {
  const keyOf = (p: Pair): string => String(isScalar(p.key) ? p.key.value : p.key)
  node.items = (node.items as Pair[]).filter((p) => keyOf(p) in value) as never
  for (const [key, item] of Object.entries(value)) {
    const pair = (node.items as Pair[]).find((p) => keyOf(p) === key)
    if (pair === undefined) {
      if (node.flow === true && (isRecord(item) || Array.isArray(item))) node.flow = false
      node.set(key, newNode(document, item))
    } else pair.value = sync(document, pair.value as Node | null, item)
  }
  return node
}

function hasMerge(node: YAMLMap): boolean {
  return (node.items as Pair[]).some((p) => isScalar(p.key) && p.key.value === '<<')
}
