// Watches folders and files; after each change that settles, everything is read again. What no longer reads keeps its last good objects.
// A file is watched through its folder: editors and ConfigMap mounts put a new file in the old one's place.
import { statSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import { readFiles } from './files.ts'
import type { Objects } from './objects.ts'
import { takeUp } from './take-up.ts'

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
  let now = takeUp(readFiles(paths), [])
  let settle: NodeJS.Timeout | undefined
  let closed = false
  const watchers = new Map<string, FSWatcher>()
  const retries = new Map<string, NodeJS.Timeout>()
  const changed = (): void => {
    if (closed) return
    clearTimeout(settle)
    settle = setTimeout(() => {
      now = takeUp(readFiles(paths), now.objects)
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
