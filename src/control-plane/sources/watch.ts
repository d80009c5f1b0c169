// Watches folders and files; after each change that settles, everything is read again. What no longer reads keeps its last good objects.
// A file is watched through its folder: editors and ConfigMap mounts put a new file in the old one's place.
import { statSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname, sep } from 'node:path'
import type { ApiObject } from '#api'
import { readFiles } from './files.ts'
import { decodeObjects, objectKey, type Objects } from './objects.ts'

export interface FileWatch {
  /** What holds now. */
  current(): Objects
  close(): void
}

/** Editors write in several steps; a change is taken up after this much quiet. */
const quietMs = 15
/** A path that is not there (yet, or any more) is looked for again. */
const retryMs = 500

/** `paths`: files and folders; one that does not exist is a problem in `current()` until it does. */
export function watchFiles(paths: readonly string[], onChange: (objects: Objects) => void): FileWatch {
  let now = read(paths, [])
  let settle: NodeJS.Timeout | undefined
  let closed = false
  const watchers = new Map<string, FSWatcher>()
  const retries = new Map<string, NodeJS.Timeout>()
  const changed = (): void => {
    if (closed) return
    clearTimeout(settle)
    settle = setTimeout(() => {
      now = read(paths, now.objects)
      onChange(now)
    }, quietMs)
  }
  const lost = (path: string): void => {
    watchers.get(path)?.close()
    watchers.delete(path)
    if (closed) return
    retries.set(path, setTimeout(() => {
      if (begin(path)) changed()
    }, retryMs).unref())
  }
  const begin = (path: string): boolean => {
    try {
      const isFolder = statSync(path).isDirectory()
      const watcher = isFolder ? watch(path, { recursive: true }, changed) : watch(dirname(path), (_event, name) => {
        if (name === null || name === basename(path)) changed()
      })
      watchers.set(path, watcher.on('error', () => lost(path)))
      return true
    } catch {
      lost(path)
      return false
    }
  }
  for (const path of paths) begin(path)
  return {
    current: () => now,
    close() {
      closed = true
      clearTimeout(settle)
      for (const timer of retries.values()) clearTimeout(timer)
      for (const w of watchers.values()) w.close()
    },
  }
}

/** Objects of a file (or of a folder) that can't be read now stay as they were. */
function read(paths: readonly string[], before: readonly ApiObject[]): Objects {
  const files = readFiles(paths)
  const decoded = decodeObjects(files.documents, before)
  const broken = files.problems.flatMap((p) => (p.ref.file === undefined ? [] : [p.ref.file]))
  const here = new Set(decoded.objects.map(objectKey))
  const isBroken = (file: string): boolean => broken.some((b) => file === b || file.startsWith(b.endsWith(sep) ? b : b + sep))
  const kept = broken.length === 0 ? [] : before.filter((o) => o.origin.file !== undefined && isBroken(o.origin.file) && !here.has(objectKey(o)))
  return { objects: [...decoded.objects, ...kept], problems: [...files.problems, ...decoded.problems] }
}
