// What of an ELF file the image needs: its libraries' names, and the file without symbols and debugging sections. Pure. 64 bits, little endian.

const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_INTERP = 3
const DT_NEEDED = 1
const DT_STRTAB = 5
const sectionFields = { offset: 40, entrySize: 58, count: 60, names: 62 }

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly size: number
}

function segments(file: Buffer): Segment[] {
  if (file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2) throw new Error('no 64-bit ELF file')
  const start = Number(file.readBigUInt64LE(32))
  const size = file.readUInt16LE(54)
  return Array.from({ length: file.readUInt16LE(56) }, (_, i) => {
    const at = start + i * size
    return { type: file.readUInt32LE(at), offset: Number(file.readBigUInt64LE(at + 8)), address: Number(file.readBigUInt64LE(at + 16)), size: Number(file.readBigUInt64LE(at + 32)) }
  })
}

const textAt = (file: Buffer, at: number): string => file.toString('latin1', at, file.indexOf(0, at))

/** The loader's path ('' for a library) and the names of the libraries that are loaded with the file. */
export function dependenciesOf(file: Buffer): { readonly loader: string; readonly libraries: readonly string[] } {
  const all = segments(file)
  const interpreter = all.find((s) => s.type === PT_INTERP)
  const dynamic = all.find((s) => s.type === PT_DYNAMIC)
  const entries = dynamic === undefined ? [] : Array.from({ length: Math.floor(dynamic.size / 16) }, (_, i) => [Number(file.readBigInt64LE(dynamic.offset + i * 16)), Number(file.readBigUInt64LE(dynamic.offset + i * 16 + 8))] as const)
  const end = entries.findIndex(([tag]) => tag === 0)
  const counted = end === -1 ? entries : entries.slice(0, end)
  const strings = counted.find(([tag]) => tag === DT_STRTAB)?.[1] ?? 0
  const home = all.find((s) => s.type === PT_LOAD && strings >= s.address && strings < s.address + s.size)
  const offset = home === undefined ? 0 : home.offset + strings - home.address
  return { loader: interpreter === undefined ? '' : textAt(file, interpreter.offset), libraries: counted.filter(([tag]) => tag === DT_NEEDED).map(([, at]) => textAt(file, offset + at)) }
}

/** Only what the kernel loads: the section table, symbols and debugging information stand behind the last segment, and a fifth of Node is those. */
export function withoutSymbols(file: Buffer): Buffer {
  const end = Math.max(...segments(file).map((s) => s.offset + s.size))
  const kept = Buffer.from(file.subarray(0, end))
  kept.writeBigUInt64LE(0n, sectionFields.offset)
  for (const field of [sectionFields.entrySize, sectionFields.count, sectionFields.names]) kept.writeUInt16LE(0, field)
  return kept
}
