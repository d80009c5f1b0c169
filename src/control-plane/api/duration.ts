// Durations as users write them: Go's "1h30m", protobuf's "1.500s".

const unitNs: Readonly<Record<string, bigint>> = { ns: 1n, us: 1000n, µs: 1000n, ms: 1_000_000n, s: 1_000_000_000n, m: 60_000_000_000n, h: 3_600_000_000_000n }

/** Milliseconds, or undefined where the text is no duration. A leading minus is accepted; "0" too. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1
  const rest = text.replace(/^[-+]/, '')
  if (rest === '0') return 0
  if (rest === '') return undefined
  let total = 0n
  let end = 0
  for (const [piece, whole = '', fraction = '', unit = ''] of rest.matchAll(/(?=\.?\d)(\d*)(?:\.(\d*))?(ns|us|µs|ms|s|m|h)/g)) {
    if (!rest.startsWith(piece, end)) return undefined
    end += piece.length
    const scale = unitNs[unit] as bigint
    // As Go: what is less than a nanosecond is cut off.
    total += BigInt(whole === '' ? 0 : whole) * scale + (BigInt(fraction === '' ? 0 : fraction) * scale) / 10n ** BigInt(fraction.length)
  }
  // As many nanoseconds as 64 bits hold.
  return end === rest.length && total < 2n ** 63n ? (sign * Number(total)) / 1e6 : undefined
}

/** protobuf's form: "1.5s". */
export function formatDuration(ms: number): string {
  return `${ms / 1000}s`
}
