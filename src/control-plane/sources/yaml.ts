// YAML text → documents whose fields know their line. YAML 1.1 scalars, as kubectl reads them (yes, 012, <<).
// Law: whatever the text, the answer is documents and problems; a broken document takes only itself along.
import {
  YAMLException, FAILSAFE_SCHEMA, boolYaml11Tag, constructFromEvents, mergeTag, nullYaml11Tag, type Event,
} from 'js-yaml'
import type { Problem } from '#lib/problem.ts'
import type { Origin } from '#api'
import { LineIndex } from './line-index.ts'
import { decimalTag, wholeTag } from './plain-numbers.ts'
import { readEvents } from './yaml-events.ts'
import { fieldPositions } from './positions.ts'

/** How the help of an unreadable document begins where the text is a template. */
export const templateHelp = 'it looks like a template'

export interface RawDocument {
  readonly value: unknown
  readonly origin: Origin
}

export interface ParsedText {
  readonly documents: readonly RawDocument[]
  readonly problems: readonly Problem[]
}

const documentEvent = 1
const aliasEvent = 5
/** More nodes than this, once aliases are followed, is an attack and no configuration. */
const mostNodes = 1_000_000

const schema = FAILSAFE_SCHEMA.withTags(nullYaml11Tag, boolYaml11Tag, wholeTag, decimalTag, mergeTag)

export function parseYaml(text: string, file: string): ParsedText {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text
  const lines = new LineIndex(source)
  const documents: RawDocument[] = []
  const problems: Problem[] = []
  for (const { start, text: part } of splitDocuments(source)) {
    const place: Place = { part, file, lines, start }
    try {
      constructDocuments(readEvents(part), place, documents, problems)
    } catch (error) {
      problems.push(failed(error, place))
    }
  }
  return { documents, problems }
}

/** A part of a file's text, and where it begins. */
interface Place { readonly part: string; readonly file: string; readonly lines: LineIndex; readonly start: number }

/** Documents are read one by one: `---` at the start of a line parts them, as for kubectl. Directives (`%YAML`) stay with the document behind them. */
function splitDocuments(source: string): { start: number; text: string }[] {
  const parts: { start: number; text: string }[] = []
  let start = 0
  const take = (end: number): void => {
    const text = source.slice(start, end)
    if (/^%/m.test(text) && /^(?:[ \t]*(?:#.*)?\r?\n|%.*\r?\n)*$/.test(text)) return
    if (/\S/.test(text)) parts.push({ start, text })
    start = end
  }
  for (let i = source.indexOf('\n---'); i !== -1; i = source.indexOf('\n---', i + 1)) if (/[\s]|^$/.test(source.charAt(i + 4))) take(i + 1)
  take(source.length)
  if (start < source.length) parts.push({ start, text: source.slice(start) })
  return parts
}

function constructDocuments(events: readonly Event[], place: Place, documents: RawDocument[], problems: Problem[]): void {
  documentsOf(events).forEach((own, index) => {
    if (own.length <= 2) return
    try {
      const value = constructFromEvents(own as Event[], { source: place.part, schema, maxTotalMergeKeys: 10_000, maxAliases: 10_000 })[0]
      if (value === null || value === undefined) return
      if (own.some((e) => e.type === aliasEvent) && expandedSize(value) > mostNodes) throw new Error(`aliases make more than ${mostNodes} nodes of this document`)
      documents.push(...expandList({ value, origin: originOf(place, index, firstOffset(own)) }))
    } catch (error) {
      problems.push(failed(error, place, firstOffset(own)))
    }
  })
}

/** A part may hold several documents where `...` ends one. */
function documentsOf(events: readonly Event[]): (readonly Event[])[] {
  const starts = events.flatMap((e, i) => (e.type === documentEvent ? [i] : []))
  return starts.length === 1 && starts[0] === 0 ? [events] : starts.map((from, n) => events.slice(from, starts[n + 1]))
}

/** Places are worked out when somebody asks, from the text again: most documents are never asked, and their events need not be kept. */
function originOf(place: Place, index: number, first: number): Origin {
  const { part, file, lines, start } = place
  let positions: ReadonlyMap<string, number> | undefined
  return {
    file,
    line: lines.at(start + first).line,
    locate(path) {
      positions ??= fieldPositions(documentsOf(readEvents(part))[index] ?? [], part)
      for (let p = path; ; p = parentPath(p)) {
        const found = positions.get(p)
        if (found !== undefined) return lines.at(start + found)
        if (p === '') return undefined
      }
    },
  }
}

/** `kind: List`: each item is an object of its own, at its own place in the file. */
function expandList(document: RawDocument): RawDocument[] {
  const value = document.value as { kind?: unknown; apiVersion?: unknown; items?: unknown } | null
  if (typeof value !== 'object' || value === null || value.kind !== 'List' || !Array.isArray(value.items)) return [document]
  return value.items.flatMap((item: unknown, i) => {
    const prefix = `items[${i}]`
    const at = document.origin.locate?.(prefix)
    const origin: Origin = { ...document.origin, ...(at === undefined ? {} : { line: at.line }), locate: (path) => document.origin.locate?.(path === '' ? prefix : `${prefix}.${path}`) }
    return expandList({ value: item, origin })
  })
}

function parentPath(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0))
}

function firstOffset(events: readonly Event[]): number {
  for (const e of events) {
    if ('valueStart' in e) return Math.max(e.valueStart, 0)
    if ('start' in e) return e.start
  }
  return 0
}

/** How many nodes a walk would visit; shared nodes are counted each time, but only looked at once. */
function expandedSize(value: unknown, known = new Map<object, number>()): number {
  if (typeof value !== 'object' || value === null) return 1
  const seen = known.get(value)
  if (seen !== undefined) return seen
  known.set(value, Infinity)
  let size = 1
  for (const child of Object.values(value)) size += expandedSize(child, known)
  known.set(value, size)
  return size
}

/** What a parser's words mean for whoever wrote the text; the first that fits. */
const remedies: readonly (readonly [RegExp, string])[] = [
  [/bad indentation of a mapping/, 'a text with ": " in it needs quotes; or the line stands under another than it belongs to'],
  [/missed comma|flow/, 'a text with [ ] { } or , in it needs quotes inside […] and {…}'],
  [/deficient indentation|end of the stream/, 'a quote is not closed, or a line is indented less than what it belongs to'],
  [/tab characters/, 'indent with spaces'],
  [/duplicated mapping key/, 'a field can be written once: leave one of them out'],
  [/unknown .*tag/, 'Kubernetes knows no tags of its own'],
]

function failed(error: unknown, { part, file, lines, start }: Place, at = 0): Problem {
  const mark = error instanceof YAMLException ? (error.mark as { position?: number } | undefined) : undefined
  const reason = error instanceof YAMLException ? error.reason : (error as Error).message
  const help = /\{\{|\{%/.test(part) ? `${templateHelp}: render it first, as in: helm template … | kith validate -f -` : remedies.find(([words]) => words.test(reason))?.[1]
  return { code: 'KITH0001', severity: 'error', ref: { kind: '', namespace: '', name: '', path: '', file, ...lines.at(start + (mark?.position ?? at)) }, message: `this YAML can't be read: ${reason}`, ...(help === undefined ? {} : { help }) }
}
