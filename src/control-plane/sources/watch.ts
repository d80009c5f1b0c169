// Watches folders and files; after each change that settles, everything is read again. What no longer parses keeps its last good objects.
import { watch, type FSWatcher } from 'node:fs'
import type { ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { readFiles } from './files.ts'
import { decodeObjects, objectKey, type Objects } from './objects.ts'

export interface FileWatch {
  /** What holds now. */
  current(): Objects
  close(): void
}

/** Editors write in several steps; a change is taken up after this much quiet. */
const quietMs = 15

export function watchFiles(paths: readonly string[], onChange: (objects: Objects) => void): FileWatch {
  let now = read(paths, [])
  let timer: NodeJS.Timeout | undefined
  const changed = (): void => {
    clearTimeout(timer)
    timer = setTimeout(() => {
      now = read(paths, now.objects)
      onChange(now)
    }, quietMs)
  }
  const watchers: FSWatcher[] = paths.map((path) => watch(path, { recursive: true }, changed).on('error', changed))
  return {
    current: () => now,
    close() {
      clearTimeout(timer)
      for (const w of watchers) w.close()
    },
  }
}

function read(paths: readonly string[], before: readonly ApiObject[]): Objects {
  const files = readFiles(paths)
  const decoded = decodeObjects(files.documents, before)
  const broken = new Set(files.problems.map((p) => p.ref.file).filter((f) => f !== undefined))
  const here = new Set(decoded.objects.map(objectKey))
  const kept = before.filter((o) => o.origin.file !== undefined && broken.has(o.origin.file) && !here.has(objectKey(o)))
  const problems: Problem[] = [...files.problems, ...decoded.problems]
  return { objects: [...decoded.objects, ...kept], problems }
}
