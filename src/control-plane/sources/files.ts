// Folders, files and standard input → documents. Reads each file once; a file that can't be read is a problem, the rest goes on.
import { isUtf8 } from 'node:buffer'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from '#lib/problem.ts'
import { chartProblem, isOfChart, withoutOthers } from './other-files.ts'
import { parseYaml, type ParsedText, type RawDocument } from './yaml.ts'

export interface ReadFiles {
  readonly documents: readonly RawDocument[]
  readonly problems: readonly Problem[]
  /** Every file that was looked at and not left out, in order. */
  readonly files: readonly string[]
}

const mostBytes = 64 * 1024 * 1024
const endings = /\.(ya?ml|json)$/i

/** `paths`: files, folders (recursively, *.yaml *.yml *.json) or `-` for standard input. What is no object is left out of folders, and named (KITH0007). */
export function readFiles(paths: readonly string[]): ReadFiles {
  return readListed(listFiles(paths), readOne)
}

export interface Listing {
  readonly files: readonly Listed[]
  readonly problems: readonly Problem[]
}

/** What `readFiles` would read. */
export function listFiles(paths: readonly string[]): Listing {
  const files: Listed[] = []
  const problems: Problem[] = []
  for (const path of paths) {
    if (path === '-') files.push({ file: path, found: false })
    else collect(path, files, problems)
  }
  return { files, problems }
}

/** `read`: what a file holds; undefined: as if it were not there. */
export function readListed({ files, problems }: Listing, read: (file: string) => ParsedText | undefined): ReadFiles {
  const parsed = files.flatMap((listed) => {
    const text = read(listed.file)
    return text === undefined ? [] : [{ ...listed, ...text }]
  })
  const left = withoutOthers(parsed)
  return { files: left.files, documents: left.documents, problems: [...problems, ...left.problems] }
}

export interface Listed {
  readonly file: string
  /** In a folder; else it was named. */
  readonly found: boolean
}

function collect(path: string, files: Listed[], problems: Problem[], found = false): void {
  try {
    if (!statSync(path).isDirectory()) return void files.push({ file: path, found })
    const entries = readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
    const isChart = entries.some((e) => e.name === 'Chart.yaml')
    if (isChart) problems.push(chartProblem(path))
    for (const entry of entries) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules' || (isChart && isOfChart(entry.name))) continue
      const child = join(path, entry.name)
      if (entry.isDirectory()) collect(child, files, problems, true)
      else if (endings.test(entry.name)) files.push({ file: child, found: true })
    }
  } catch (error) {
    problems.push(unreadable(path, (error as Error).message))
  }
}

export function readOne(file: string): ParsedText {
  try {
    const bytes = file === '-' ? readFileSync(0) : readRegular(file)
    if (!isUtf8(bytes)) return { documents: [], problems: [unreadable(file, otherEncoding(bytes))] }
    const text = bytes.toString('utf8')
    if (text.length > mostBytes) return { documents: [], problems: [unreadable(file, tooLarge)] }
    if (text.includes('\0')) return { documents: [], problems: [unreadable(file, 'it holds NUL characters, so it is no text')] }
    const parsed = parseYaml(text, file)
    return parsed.problems.length > 0 && parsed.documents.length === 0 && /\.json$/i.test(file) ? parseJson(text, file, parsed) : parsed
  } catch (error) {
    return { documents: [], problems: [unreadable(file, (error as Error).message)] }
  }
}

const tooLarge = `it is larger than ${mostBytes / 1024 / 1024} MiB`

function otherEncoding(bytes: Buffer): string {
  const mark = bytes.length < 2 ? 0 : bytes.readUInt16BE(0)
  return mark === 0xfffe || mark === 0xfeff ? 'it is UTF-16; save it as UTF-8' : 'it is no UTF-8; save it as UTF-8'
}

/** A pipe or a device might never end. */
function readRegular(file: string): Buffer {
  const stat = statSync(file)
  if (stat.size > mostBytes) throw new Error(tooLarge)
  if (!stat.isFile() && !stat.isFIFO()) throw new Error('it is no file')
  return readFileSync(file)
}

/** JSON that is no YAML (tabs for indentation): read without places. */
function parseJson(text: string, file: string, otherwise: ParsedText): ParsedText {
  try {
    return { documents: [{ value: JSON.parse(text) as unknown, origin: { file, line: 1 } }], problems: [] }
  } catch {
    return otherwise
  }
}

function unreadable(file: string, why: string): Problem {
  return { code: 'KITH0002', severity: 'error', ref: { kind: '', namespace: '', name: '', path: '', file }, message: `${file} can't be read: ${why}` }
}
