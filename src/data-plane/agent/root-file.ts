// The mesh's root certificates as the kubelet mounts them. It swaps the whole folder by a symbolic link, which watching would miss on some file systems: so it is looked at now and then.
import { readFile } from 'node:fs/promises'

const everyMs = 10_000

/** `onChange` gets the text, first as it is, then each time it is another; a file that is not there, or empty, is no change. */
export function followFile(path: string, onChange: (text: string, isFirst: boolean) => void, intervalMs = everyMs): { stop(): void } {
  let last: string | undefined
  const look = async (): Promise<void> => {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text === '' || text === last) return
    const first = last === undefined
    last = text
    onChange(text, first)
  }
  void look()
  const timer = setInterval(() => void look(), intervalMs)
  timer.unref()
  return { stop: () => clearInterval(timer) }
}
