// Builds a head in one scratch buffer: runs of untouched header lines are copied whole, new lines are written behind them.
// Law: one head at a time (JavaScript is single-threaded); `take` copies out what was built.

let scratch = Buffer.allocUnsafeSlow(64 * 1024)
let pos = 0

function room(n: number): void {
  if (pos + n <= scratch.length) return
  const bigger = Buffer.allocUnsafeSlow(Math.max(scratch.length * 2, pos + n))
  scratch.copy(bigger, 0, 0, pos)
  scratch = bigger
}

export function begin(): void {
  pos = 0
}

/** Latin-1 text; the caller vouches that it holds no line break that it doesn't mean. */
export function text(s: string): void {
  room(s.length)
  pos += scratch.write(s, pos, 'latin1')
}

export function bytes(buf: Buffer, from: number, to: number): void {
  if (to <= from) return
  room(to - from)
  buf.copy(scratch, pos, from, to)
  pos += to - from
}

/** `name: value` CRLF; line breaks and NULs in the value become spaces. */
export function line(name: string, value: string): void {
  text(`${name}: ${/[\r\n\0]/.test(value) ? value.replace(/[\r\n\0]/g, ' ') : value}\r\n`)
}

/** What was built, followed by `body[from,to)`, as one buffer of its own. */
export function take(body?: Buffer, from = 0, to = 0): Buffer {
  const n = to - from
  const out = Buffer.allocUnsafe(pos + n)
  scratch.copy(out, 0, 0, pos)
  if (body !== undefined && n > 0) body.copy(out, pos, from, to)
  return out
}
