// What was read now, beside what held before: objects of a file (or of a folder) that can't be read stay as they were.
import { sep } from 'node:path'
import type { ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { decodeObjects, objectKey, type Objects } from './objects.ts'
import { emptied } from './settled-files.ts'
import type { RawDocument } from './yaml.ts'

export function takeUp(read: { readonly documents: readonly RawDocument[]; readonly problems: readonly Problem[] }, before: readonly ApiObject[]): Objects {
  const decoded = decodeObjects(read.documents, before)
  const broken = read.problems.flatMap((p) => (p.ref.file === undefined || p.code === emptied ? [] : [p.ref.file]))
  const here = new Set(decoded.objects.map(objectKey))
  const isBroken = (file: string): boolean => broken.some((b) => file === b || file.startsWith(b.endsWith(sep) ? b : b + sep))
  const kept = broken.length === 0 ? [] : before.filter((o) => o.origin.file !== undefined && isBroken(o.origin.file) && !here.has(objectKey(o)))
  return { objects: [...decoded.objects, ...kept], problems: [...read.problems, ...decoded.problems] }
}
