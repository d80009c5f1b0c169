// A tar archive that says nothing of who packed it, where and when: the same entries give the same bytes. Pure. POSIX ustar.

export type TarEntry =
  | { readonly path: string; readonly kind: 'file'; readonly content: Uint8Array; readonly executable?: boolean }
  | { readonly path: string; readonly kind: 'link'; readonly to: string }
  | { readonly path: string; readonly kind: 'directory'; readonly mode?: number }

const block = 512
const types = { file: '0', link: '2', directory: '5' } as const

/** Sorted by path, folders that nobody named included; everything is root's. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const sorted = withFolders(entries).sort((a, b) => (a.path < b.path ? -1 : 1))
  const parts: Uint8Array[] = []
  for (const entry of sorted) {
    const content = entry.kind === 'file' ? entry.content : new Uint8Array()
    parts.push(header(entry, content.length), content, new Uint8Array((block - (content.length % block)) % block))
  }
  return Buffer.concat([...parts, new Uint8Array(2 * block)])
}

function withFolders(entries: readonly TarEntry[]): TarEntry[] {
  const all = new Map(entries.map((e) => [e.path, e]))
  for (const { path } of entries) {
    const parts = path.split('/')
    for (let n = 1; n < parts.length; n++) {
      const folder = parts.slice(0, n).join('/')
      if (!all.has(folder)) all.set(folder, { path: folder, kind: 'directory' })
    }
  }
  return [...all.values()]
}

function header(entry: TarEntry, size: number): Buffer {
  const at = Buffer.alloc(block)
  const [prefix, name] = splitPath(entry.kind === 'directory' ? `${entry.path}/` : entry.path)
  const mode = entry.kind === 'directory' ? (entry.mode ?? 0o755) : entry.kind === 'link' ? 0o777 : entry.executable === true ? 0o755 : 0o644
  const octal = (value: number, offset: number, length: number): void => void at.write(value.toString(8).padStart(length - 1, '0'), offset, 'ascii')
  at.write(name, 0)
  octal(mode, 100, 8)
  octal(0, 108, 8)
  octal(0, 116, 8)
  octal(size, 124, 12)
  octal(0, 136, 12)
  at.write('        ', 148, 'ascii')
  at.write(types[entry.kind], 156, 'ascii')
  if (entry.kind === 'link') at.write(entry.to, 157)
  at.write('ustar\u000000', 257, 'ascii')
  at.write(prefix, 345)
  octal(at.reduce((sum, byte) => sum + byte, 0), 148, 7)
  at[155] = 0x20
  return at
}

/** A name has 100 bytes, what stands before one of its slashes 155 more. */
function splitPath(path: string): readonly [string, string] {
  if (Buffer.byteLength(path) <= 100) return ['', path]
  for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1)) {
    const [prefix, name] = [path.slice(0, at), path.slice(at + 1)]
    if (name !== '' && Buffer.byteLength(name) <= 100 && Buffer.byteLength(prefix) <= 155) return [prefix, name]
  }
  throw new Error(`too long for an archive: ${path}`)
}
