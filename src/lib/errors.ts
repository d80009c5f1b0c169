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

/** What the operating system refuses (`EACCES`, `ENOSPC`), as a sentence; undefined: it is no such error. */
export function systemRefusal(error: unknown): { readonly code: string; readonly message: string } | undefined {
  if (!(error instanceof Error)) return undefined
  const { code, syscall, path } = error as NodeJS.ErrnoException
  if (code === undefined || syscall === undefined || !/^E[A-Z0-9]+$/.test(code)) return undefined
  const why = /^E[A-Z0-9]+: (.+?), /.exec(error.message)?.[1]
  return { code, message: why === undefined ? error.message : `can't ${syscall}${path === undefined ? '' : ` ${path}`}: ${why}` }
}

/** Any failure as a code and a sentence. UNEXPECTED: a fault of Kith's own, with its stack. */
export function describeFailure(error: unknown): { readonly code: string; readonly message: string } {
  if (error instanceof KithError) return { code: error.code, message: error.message }
  const unexpected = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return systemRefusal(error) ?? { code: 'UNEXPECTED', message: unexpected }
}

export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message)
}
