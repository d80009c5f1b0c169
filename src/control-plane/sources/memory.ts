// A source without files: texts under names, with the same law as files (the last good objects of a text that no longer reads stay).
import type { Objects } from './objects.ts'
import { takeUp } from './take-up.ts'
import type { FileWatch } from './watch.ts'
import { parseYaml } from './yaml.ts'

export interface MemorySource extends FileWatch {
  /** Puts a text in the place of the one of that name; `undefined` takes it away. `onChange` is called before this returns. */
  put(name: string, text: string | undefined): void
}

export function memorySource(texts: Readonly<Record<string, string>>, onChange: (objects: Objects) => void): MemorySource {
  const held = new Map(Object.entries(texts))
  let closed = false
  const read = (before: Objects['objects']): Objects => {
    const parsed = [...held].map(([name, text]) => parseYaml(text, name))
    return takeUp({ documents: parsed.flatMap((p) => p.documents), problems: parsed.flatMap((p) => p.problems) }, before)
  }
  let now = read([])
  return {
    current: () => now,
    put(name, text) {
      if (closed) return
      if (text === undefined) held.delete(name)
      else held.set(name, text)
      now = read(now.objects)
      onChange(now)
    },
    close() {
      closed = true
    },
  }
}
