// YAML text → documents whose fields know their line. YAML 1.1 scalars, as kubectl reads them (yes, 012, <<).
// Law: whatever the text, the answer is documents and problems; a broken document takes only itself along.
import {
  YAMLException, FAILSAFE_SCHEMA, NOT_RESOLVED, boolYaml11Tag, constructFromEvents, floatYaml11Tag, intYaml11Tag, mergeTag, nullYaml11Tag, parseEvents, type Event, type ScalarTagDefinition,
} from 'js-yaml'
import type { Problem } from '#lib/problem.ts'
import type { Origin } from '#api'
import { LineIndex } from './line-index.ts'
import { fieldPositions } from './positions.ts'

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

/** "22:22" is text: kubectl's parser knows no base-60 numbers. */
function withoutBase60(tag: ScalarTagDefinition): ScalarTagDefinition {
  return { ...tag, resolve: (source, explicit, name) => (source.includes(':') ? NOT_RESOLVED : tag.resolve(source, explicit, name)) }
}
const schema = FAILSAFE_SCHEMA.withTags(nullYaml11Tag, boolYaml11Tag, withoutBase60(intYaml11Tag as ScalarTagDefinition), withoutBase60(floatYaml11Tag as ScalarTagDefinition), mergeTag)

export function parseYaml(text: string, file: string): ParsedText {
  const source = text.startsWith('\uFEFF') ? text.slice(1) : text
  const lines = new LineIndex(source)
  try {
    return constructDocuments(parseEvents(masked(source), {}), source, file, lines, 0)
  } catch (error) {
    const parts = splitDocuments(source)
    if (parts.length === 1) return failed(error, file, lines, 0)
    const all = parts.map(({ start, text: part }) => {
      try {
        return constructDocuments(parseEvents(masked(part), {}), part, file, lines, start)
      } catch (inner) {
        return failed(inner, file, lines, start)
      }
    })
    return { documents: all.flatMap((p) => p.documents), problems: all.flatMap((p) => p.problems) }
  }
}

/**
 * In `[2001:db8::]` the last colon is text for kubectl's parser and the sign of a key for YAML 1.2. Masked for the eyes of the event parser alone: the events
 * hold offsets, and values are taken from the text as it is.
 */
function masked(source: string): string {
  return source.replace(/(?<=[^\s'"[\]{},]):(?=[,\]}])/g, '_')
}

/** Where one document is broken, the others are read one by one: `---` at the start of a line parts them, as for kubectl. */
function splitDocuments(source: string): { start: number; text: string }[] {
  const starts = [0, ...[...source.matchAll(/^---(?=\s|$)/gm)].map((m) => m.index).filter((i) => i > 0)]
  return starts.map((start, i) => ({ start, text: source.slice(start, starts[i + 1]) })).filter((p) => /\S/.test(p.text))
}

function constructDocuments(events: Event[], source: string, file: string, lines: LineIndex, offset: number): ParsedText {
  const documents: RawDocument[] = []
  const problems: Problem[] = []
  const starts: number[] = []
  events.forEach((e, i) => {
    if (e.type === documentEvent) starts.push(i)
  })
  starts.forEach((from, n) => {
    const part = events.slice(from, starts[n + 1])
    if (part.length <= 2) return
    try {
      const value = constructFromEvents(part, { source, schema, maxTotalMergeKeys: 10_000, maxAliases: 10_000 })[0]
      if (value === null || value === undefined) return
      if (part.some((e) => e.type === aliasEvent) && expandedSize(value) > mostNodes) throw new Error(`aliases make more than ${mostNodes} nodes of this document`)
      documents.push(...expandList({ value, origin: originOf(part, source, file, lines, offset) }))
    } catch (error) {
      problems.push(...failed(error, file, lines, offset, firstOffset(part)).problems)
    }
  })
  return { documents, problems }
}

function originOf(events: readonly Event[], source: string, file: string, lines: LineIndex, offset: number): Origin {
  let positions: ReadonlyMap<string, number> | undefined
  return {
    file,
    line: lines.at(offset + firstOffset(events)).line,
    locate(path) {
      positions ??= fieldPositions(events, source)
      for (let p = path; ; p = parentPath(p)) {
        const found = positions.get(p)
        if (found !== undefined) return lines.at(offset + found)
        if (p === '') return undefined
      }
    },
  }
}

/** `kind: List`: each item is an object of its own, at its own place in the file. */
function expandList(document: RawDocument): RawDocument[] {
  const value = document.value as { kind?: unknown; apiVersion?: unknown; items?: unknown }
  if (typeof value !== 'object' || value.kind !== 'List' || !Array.isArray(value.items)) return [document]
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

function failed(error: unknown, file: string, lines: LineIndex, offset: number, at?: number): ParsedText {
  const mark = error instanceof YAMLException ? (error.mark as { position?: number } | undefined) : undefined
  const place = lines.at(offset + (mark?.position ?? at ?? 0))
  const reason = error instanceof YAMLException ? error.reason : (error as Error).message
  return { documents: [], problems: [{ code: 'KITH0001', severity: 'error', ref: { kind: '', namespace: '', name: '', path: '', file, ...place }, message: `this YAML can't be read: ${reason}` }] }
}
