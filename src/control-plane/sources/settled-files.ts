// Files of a folder while they are being saved: each counts as it was until size and time of the new one stand still.
// Law: a file that is being written holds up no other. Pure but for reading the file system; the time is an argument.
import { statSync } from 'node:fs'
import { sep } from 'node:path'
import type { Problem } from '#lib/problem.ts'
import { isRecord } from '#api'
import { listFiles, readListed, readOne, type Listing, type ReadFiles } from './files.ts'
import type { ParsedText } from './yaml.ts'

/** A file that has stood still for so long is taken up. */
export const stillMs = 150
/** A file of 0 bytes counts as being written for so long. */
export const emptyMs = 2000
/** The code of what is said where a file has become empty: its objects are gone. */
export const emptied = 'KITH0008'

export interface Look {
  /** There is something to take up: `read`. */
  readonly changed: boolean
  /** Something moves still: look again then. */
  readonly againMs?: number
}

interface Seen {
  readonly state: string
  readonly sinceMs: number
}

const gone = 'gone'

export class SettledFiles {
  readonly #paths: readonly string[]
  readonly #whole: readonly string[]
  readonly #seen = new Map<string, Seen>()
  readonly #taken = new Map<string, string>()
  readonly #texts = new Map<string, ParsedText>()
  #listing: Listing

  /** @param whole folders in which files appear whole, by a rename: they are not waited for */
  constructor(paths: readonly string[], whole: readonly string[], nowMs: number) {
    this.#paths = paths
    this.#whole = whole.map((w) => (w.endsWith(sep) ? w : w + sep))
    this.#listing = listFiles(paths)
    for (const [key, state] of statesOf(this.#listing)) {
      this.#seen.set(key, { state, sinceMs: nowMs })
      this.#take(key, state)
    }
  }

  /** What holds now. */
  read(): ReadFiles {
    return readListed(this.#listing, (file) => this.#texts.get(file))
  }

  /** Looks at all files, and takes up those that stand still. */
  look(nowMs: number): Look {
    const listing = listFiles(this.#paths)
    const states = statesOf(listing)
    for (const key of this.#taken.keys()) if (!states.has(key)) states.set(key, gone)
    for (const key of this.#seen.keys()) if (!states.has(key)) this.#seen.delete(key)
    const due: string[] = []
    let againMs = Infinity
    let leaving = false
    for (const [key, state] of states) {
      if (this.#seen.get(key)?.state !== state) this.#seen.set(key, { state, sinceMs: nowMs })
      if (this.#taken.get(key) === state) continue
      const leftMs = (this.#seen.get(key)?.sinceMs ?? nowMs) + this.#waitMs(key, state) - nowMs
      if (leftMs <= 0) due.push(key)
      else againMs = Math.min(againMs, leftMs)
      leaving ||= leftMs > 0 && state === gone
    }
    const again = againMs === Infinity ? {} : { againMs }
    // An editor that renames the old file away puts the new one in its place at once: the listing is whole then.
    if (leaving || due.length === 0) return { changed: false, ...again }
    for (const key of due) this.#take(key, states.get(key) as string)
    this.#listing = listing
    return { changed: true, ...again }
  }

  #waitMs(key: string, state: string): number {
    if (this.#whole.some((w) => key.startsWith(w))) return 0
    return state.startsWith(isEmpty) && this.#texts.get(key)?.documents.length !== 0 ? emptyMs : stillMs
  }

  #take(key: string, state: string): void {
    if (state === gone) {
      for (const map of [this.#seen, this.#taken, this.#texts]) map.delete(key)
      return
    }
    if (key.startsWith(problemMark)) return void this.#taken.set(key, state)
    const before = this.#texts.get(key)
    const text = readOne(key)
    // Written to while it was read: a later look takes it.
    if (stateOf(key) !== state) return
    this.#taken.set(key, state)
    const isGone = state.startsWith(isEmpty) && before !== undefined && before.documents.length > 0
    this.#texts.set(key, isGone ? { documents: [], problems: [nothingLeft(key, before)] } : text)
  }
}

const problemMark = '\0'
const isEmpty = '0 '

function stateOf(file: string): string | undefined {
  const stat = statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? undefined : `${stat.size} ${stat.mtimeMs} ${stat.ino}`
}

/** Of each file, and of each path that can't be listed: what changes when it does. */
function statesOf({ files, problems }: Listing): Map<string, string> {
  const states = new Map<string, string>()
  for (const { file } of files) {
    const state = stateOf(file)
    if (state !== undefined) states.set(file, state)
  }
  for (const { ref, message } of problems) states.set(problemMark + (ref.file ?? ''), message)
  return states
}

function nothingLeft(file: string, before: ParsedText): Problem {
  const names = before.documents.flatMap(({ value }) => {
    const metadata = isRecord(value) && isRecord(value['metadata']) ? value['metadata'] : undefined
    if (metadata === undefined || !isRecord(value)) return []
    const namespace = metadata['namespace'] === undefined ? '' : `${String(metadata['namespace'])}/`
    return [`${String(value['kind'])} ${namespace}${String(metadata['name'])}`]
  })
  const ref = { kind: '', namespace: '', name: '', path: '', file }
  return { code: emptied, severity: 'warning', ref, message: `the file is empty now, and these objects are gone: ${names.join(', ')}` }
}
