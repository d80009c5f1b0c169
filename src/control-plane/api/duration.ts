// Durations as users write them: Go's "1h30m", protobuf's "1.500s".

const unitMs: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** Milliseconds, or undefined where the text is no duration. A leading minus is accepted; "0" too. */
export function parseDuration(text: string): number | undefined {
  const sign = text.startsWith('-') ? -1 : 1
  const rest = text.replace(/^[-+]/, '')
  if (rest === '0') return 0
  if (rest === '') return undefined
  let totalMs = 0
  let end = 0
  for (const m of rest.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    if (m.index !== end) return undefined
    end += m[0].length
    totalMs += Number(m[1]) * (unitMs[m[2] as string] as number)
  }
  // As many nanoseconds as 64 bits hold.
  return end === rest.length && totalMs <= 2 ** 63 / 1e6 ? sign * totalMs : undefined
}

/** protobuf's form: "1.5s". */
export function formatDuration(ms: number): string {
  return `${ms / 1000}s`
}
