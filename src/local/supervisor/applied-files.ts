// What `kith apply` brought: a file an object, lines kept where they were, and where each came from.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalHash } from '#lib/canonical.ts'
import type { Problem } from '#lib/problem.ts'
import { decode, refTo, unserved, unservedSettings, type ApiObject, type Origin } from '#api'
import { foreignHostProblems } from '#mesh'
import { decodeObjects, objectKey, objectMark, parseYaml, readFiles, type RawDocument } from '#sources'
import { replaceFile } from '../replace-file.ts'
import type { AppliedChange } from '../types.ts'
import type { StatePaths } from '../state-dir.ts'

export const originsFile = '.origins.json'

export interface Outcome {
  readonly changes: readonly AppliedChange[]
  readonly problems: readonly Problem[]
}

export class AppliedFiles {
  readonly #dir: string
  readonly #origins: Record<string, string> = {}

  constructor(dir: string) {
    this.#dir = dir
    mkdirSync(dir, { recursive: true })
  }

  /** All or nothing: with an error in the text nothing changes. `present`: what the mesh has now. */
  apply(text: string, origin: string, present: readonly ApiObject[]): Outcome {
    const { found, problems } = read(text, origin)
    if (problems.some((p) => p.severity === 'error')) return { changes: [], problems }
    const before = new Map(present.map((o) => [objectKey(o), o]))
    const changes = found.map(({ object, document, alone }): AppliedChange => {
      const was = before.get(objectKey(object))
      const held = this.#holds(object)
      const same = was !== undefined && canonicalHash([was.raw['spec'], was.metadata.labels, was.metadata.annotations, was.raw['data']]) === canonicalHash([object.raw['spec'], object.metadata.labels, object.metadata.annotations, object.raw['data']])
      if (!same) this.#write(fileName(object), alone ? paddedText(text, document) : JSON.stringify(document.value) + '\n', origin)
      const ours = was === undefined || held
      const note = same || ours ? undefined : `overrides ${was.origin.file ?? 'the folder’s file'}${was.origin.line === undefined ? '' : `:${was.origin.line}`} until deleted`
      return { action: same ? 'unchanged' : was === undefined ? 'created' : 'configured', ref: refTo(object), ...(note === undefined ? {} : { note }) }
    })
    this.#saveOrigins()
    return { changes, problems }
  }

  /** Objects of the folder's own files stay: their file is the truth. */
  delete(text: string, origin: string, present: readonly ApiObject[]): Outcome {
    const { found, problems } = read(text, origin)
    const before = new Map(present.map((o) => [objectKey(o), o]))
    const refused: Problem[] = []
    const changes = found.flatMap(({ object }): AppliedChange[] => {
      const was = before.get(objectKey(object))
      if (was === undefined) return [{ action: 'not found', ref: refTo(object) }]
      if (this.#holds(object)) {
        rmSync(join(this.#dir, fileName(object)), { force: true })
        delete this.#origins[fileName(object)]
        return [{ action: 'deleted', ref: refTo(object) }]
      }
      const ref = refTo(was)
      refused.push({ code: 'KITH0202', severity: 'error', ref, message: `${was.kind} ${was.metadata.namespace}/${was.metadata.name} stands in ${ref.file ?? 'a file'} of this mesh’s folder, which is watched`, help: 'remove it there' })
      return []
    })
    this.#saveOrigins()
    return { changes, problems: [...problems.filter((p) => p.severity === 'error' && p.ref.name === ''), ...refused] }
  }

  /** `objectMark` of what stands here now. */
  marks(): readonly string[] {
    return decodeObjects(readFiles([this.#dir]).documents).objects.map(objectMark)
  }

  #holds(object: ApiObject): boolean {
    return existsSync(join(this.#dir, fileName(object)))
  }

  #write(name: string, text: string, origin: string): void {
    replaceFile(join(this.#dir, name), text)
    this.#origins[name] = origin
  }

  #saveOrigins(): void {
    replaceFile(join(this.#dir, originsFile), JSON.stringify(this.#origins))
  }
}

/** Applied objects say the file that the user named, not ours; a pod that runs stands in none. */
export function withUsersOrigin(object: ApiObject, paths: Places, origins: Readonly<Record<string, string>>): ApiObject {
  const origin = usersOrigin(object.origin, paths, origins)
  return origin === object.origin ? object : { ...object, origin }
}

type Places = Pick<StatePaths, 'applied' | 'objects'>

/** The same of the origin of a document. */
export function usersOrigin(origin: Origin, { applied: appliedDir, objects }: Places, origins: Readonly<Record<string, string>>): Origin {
  const { file } = origin
  if (file?.startsWith(objects + '/') === true) return {}
  if (file === undefined || !file.startsWith(appliedDir + '/')) return origin
  const named = origins[file.slice(appliedDir.length + 1)]
  return named === undefined ? origin : { ...origin, file: named }
}

export function readOrigins(appliedDir: string): Readonly<Record<string, string>> {
  try {
    return JSON.parse(readFileSync(join(appliedDir, originsFile), 'utf8')) as Record<string, string>
  } catch {
    return {}
  }
}

interface Found {
  readonly object: ApiObject
  readonly document: RawDocument
  /** Its text stands for itself: not an item of a List. */
  readonly alone: boolean
}

function read(text: string, origin: string): { found: Found[]; problems: Problem[] } {
  const parsed = parseYaml(text, origin)
  const problems: Problem[] = [...parsed.problems]
  const found = parsed.documents.flatMap((document): Found[] => {
    const decoded = decode(document.value, document.origin)
    problems.push(...decoded.problems)
    if (decoded.object === undefined) return []
    // Other objects are not looked at here: whose a host is, its name tells.
    problems.push(...unserved(decoded.object), ...unservedSettings(decoded.object), ...foreignHostProblems(decoded.object, {}))
    const { start, end } = extent(text, document)
    const alone = parsed.documents.filter((d) => d !== document && (d.origin.line ?? 0) >= start && (d.origin.line ?? 0) < end).length === 0 && !/^kind:\s*List\s*$/m.test(lines(text, start, end))
    return [{ object: decoded.object, document, alone }]
  })
  return { found, problems }
}

/** First line of the document (1-based), and the first one behind it. */
function extent(text: string, document: RawDocument): { start: number; end: number } {
  const all = text.split('\n')
  const at = (document.origin.line ?? 1) - 1
  let start = at
  while (start > 0 && !/^---(\s|$)/.test(all[start] as string)) start--
  let end = at + 1
  while (end < all.length && !/^---(\s|$)/.test(all[end] as string)) end++
  return { start: start + 1, end: end + 1 }
}

function lines(text: string, start: number, end: number): string {
  return text.split('\n').slice(start - 1, end - 1).join('\n')
}

/** The document's own text on its own lines: places in it stay true. */
function paddedText(text: string, document: RawDocument): string {
  const { start, end } = extent(text, document)
  return '\n'.repeat(start - 1) + lines(text, start, end) + '\n'
}

function fileName(object: ApiObject): string {
  const clean = (s: string): string => s.replace(/[^A-Za-z0-9.-]/g, '-')
  const group = object.apiVersion.includes('/') ? `${clean(object.apiVersion.split('/')[0] as string)}.` : ''
  return `${group}${clean(object.kind)}_${clean(object.metadata.namespace)}_${clean(object.metadata.name)}.yaml`
}
