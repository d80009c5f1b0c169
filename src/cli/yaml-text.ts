// New data in a document that is written back: printed as yaml prints it, without a tree of nodes for it, and each text asked of yaml once. A file's pods get much the same.
// Law: the bytes are yaml's (test/property/yaml-text.test.ts); what is not plain enough goes to it whole.
import { YAMLMap, YAMLSeq, stringify, type Document, type Node } from 'yaml'

type Context = NonNullable<Parameters<YAMLMap['toString']>[0]>

/** A node for data that no line of the file says yet. */
export function newNode(document: Document, value: unknown): Node {
  if (!isFilled(value)) return document.createNode(value) as Node
  return Array.isArray(value) ? new NewSeq(value) : new NewMap(value as Readonly<Record<string, unknown>>)
}

class NewMap extends YAMLMap {
  readonly #value: Readonly<Record<string, unknown>>

  constructor(value: Readonly<Record<string, unknown>>) {
    super()
    this.#value = value
    this.set('only', 'counted')
  }

  override toString(context?: Context, onComment?: () => void, onChompKeep?: () => void): string {
    return printed(this.#value, context) ?? nodeOf(this.#value, context).toString(context, onComment, onChompKeep)
  }
}

class NewSeq extends YAMLSeq {
  readonly #value: readonly unknown[]

  constructor(value: readonly unknown[]) {
    super()
    this.#value = value
    this.add('only counted')
  }

  override toString(context?: Context, onComment?: () => void, onChompKeep?: () => void): string {
    return printed(this.#value, context) ?? nodeOf(this.#value, context).toString(context, onComment, onChompKeep)
  }
}

function nodeOf(value: object, context: Context | undefined): YAMLMap {
  return context?.doc.createNode(value, { aliasDuplicateObjects: false }) as unknown as YAMLMap
}

function printed(value: object, context: Context | undefined): string | undefined {
  return context === undefined || context.inFlow === true ? undefined : block(value, context.indent)
}

/** undefined: not plain. */
function block(value: object, indent: string): string | undefined {
  const within = `${indent}  `
  let text = ''
  if (Array.isArray(value)) {
    for (const item of value as unknown[]) {
      const own = isFilled(item) ? block(item, within) : scalar(item)
      if (own === undefined) return undefined
      text += `${text === '' ? '' : `\n${indent}`}- ${own}`
    }
    return text
  }
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue
    const [name, own] = [keyText(key), isFilled(item) ? block(item, within) : scalar(item)]
    if (name === undefined || own === undefined) return undefined
    text += `${text === '' ? '' : `\n${indent}`}${name}:${isFilled(item) ? `\n${within}` : ' '}${own}`
  }
  return text === '' ? undefined : text
}

function isFilled(value: unknown): value is object {
  return typeof value === 'object' && value !== null && Object.values(value).some((v) => v !== undefined)
}

const options = { version: '1.1', lineWidth: 0 } as const
/** One line, and no sign of a document's end: these look the same at every depth. */
const oneLine = /^(?!---|\.\.\.)[^\n\r\u0085\u2028\u2029]{0,1000}$/
/** Words that nobody takes for anything else: a truth, a number (YAML 1.1 reads e-3 as one). */
const word = /^(?!(?:y|n|yes|no|on|off|true|false|null|e-?\d+)$)[a-z][\w./-]{0,200}$/i
const scalars = new Map<unknown, string>()
const keys = new Map<string, string>()

function scalar(value: unknown): string | undefined {
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? '[]' : '{}'
  if (!(typeof value === 'number' || typeof value === 'boolean' || (typeof value === 'string' && oneLine.test(value)))) return undefined
  if (typeof value === 'string' && word.test(value)) return value
  // -0 is another text, and the same key of a map.
  if (Object.is(value, -0)) return undefined
  const known = scalars.get(value)
  if (known !== undefined) return known
  const text = stringify({ a: value }, options).slice('a: '.length, -1)
  scalars.set(value, text)
  return text
}

function keyText(key: string): string | undefined {
  if (!oneLine.test(key) || key === '<<' || key === '') return undefined
  if (word.test(key)) return key
  const known = keys.get(key)
  if (known !== undefined) return known
  const text = stringify({ [key]: 1 }, options).slice(0, -': 1\n'.length)
  keys.set(key, text)
  return text
}
