// Watches folders and files; a change is taken up when its file stands still. What no longer reads keeps its last good objects.
// A file is watched through its folder: editors and ConfigMap mounts put a new file in the old one's place.
import { statSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Objects } from './objects.ts'
import { SettledFiles } from './settled-files.ts'
import { takeUp } from './take-up.ts'

export interface FileWatch {
  /** What holds now. */
  current(): Objects
  close(): void
}

/** Several events of one change are one look. */
const gatherMs = 15
/** A path that is not there (yet, or any more) is looked for again. */
const retryMs = 500

/**
 * @param paths files and folders; one that does not exist is a problem in `current()` until it does
 * @param whole folders among them in which files appear whole, by a rename: they are taken up at once
 */
export function watchFiles(
  paths: readonly string[],
  onChange: (objects: Objects) => void,
  whole: readonly string[] = [],
): FileWatch {
  const files = new SettledFiles(paths, whole, performance.now())
  let now = takeUp(files.read(), [])
  let settle: NodeJS.Timeout | undefined
  let closed = false
  const watchers = new Map<string, FSWatcher>()
  const retries = new Map<string, NodeJS.Timeout>()
  const changed = (): void => {
    if (closed) return
    later(gatherMs)
  }
  const later = (ms: number): void => {
    clearTimeout(settle)
    settle = setTimeout(look, ms)
  }
  const look = (): void => {
    const { changed: isNew, againMs } = files.look(performance.now())
    if (againMs !== undefined) later(Math.ceil(againMs))
    if (!isNew) return
    now = takeUp(files.read(), now.objects)
    onChange(now)
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
  // What was saved between the first reading and the watch.
  changed()
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
