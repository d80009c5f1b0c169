// What went wrong, as a sentence on stderr and an exit code (docs: 1 the world failed, 2 wrong usage).
import { KithError, systemRefusal } from '#lib/errors.ts'

/** A command ends with this code; the message, if any, is printed as it is. */
export class ExitError extends Error {
  readonly exitCode: number
  constructor(exitCode: number, message = '') {
    super(message)
    this.exitCode = exitCode
  }
}

/** What was written can't be asked, whatever the mesh holds. */
const asksWrongly: ReadonlySet<string> = new Set(['WRONG_TARGET', 'WRONG_WORKLOAD'])

/** Prints the failure and returns the exit code. A stack is shown only for our own bugs. */
export function reportFailure(error: unknown): number {
  if (error instanceof ExitError) {
    if (error.message !== '') process.stderr.write(error.message + '\n')
    return error.exitCode
  }
  if (error instanceof KithError) {
    process.stderr.write(`kith: ${error.message} [${error.code}]\n`)
    return asksWrongly.has(error.code) ? 2 : 1
  }
  const refused = systemRefusal(error)
  if (refused !== undefined) {
    process.stderr.write(`kith: ${refused.message} [${refused.code}]\n`)
    return 1
  }
  process.stderr.write(`kith: this is a bug of ours, please report it\n${error instanceof Error ? error.stack : String(error)}\n`)
  return 1
}
