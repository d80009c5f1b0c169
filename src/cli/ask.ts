// A question to the person at the terminal. Law: without a terminal there is no yes.
import { createInterface } from 'node:readline/promises'
import { ExitError } from './failure.ts'

/** True where the answer is yes. `yes`: --skip-confirmation. */
export async function confirm(question: string, yes: boolean): Promise<boolean> {
  if (yes) return true
  if (process.stdin.isTTY !== true) throw new ExitError(1, `kith: ${question} There is no terminal to answer on; -y says yes.`)
  const lines = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} (y/N) `)).trim())
  } finally {
    lines.close()
  }
}
