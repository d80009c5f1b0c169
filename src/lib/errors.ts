// The world's failures have a stable code, a cause and a sentence that an operator can act on; our own bugs are invariants.

/** Wrapped once when it crosses a room. `code` is stable: `CA_UNREACHABLE`, `PORT_IN_USE` … */
export class KithError extends Error {
  readonly code: string
  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'KithError'
    this.code = code
  }
}

/** Our bug: ends the request and is counted, never the proxy. */
export class InvariantError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'InvariantError'
  }
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
