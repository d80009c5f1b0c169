// Waits for Enter between steps. Ctrl-C and the end of the input both mean: no more.
import { createInterface } from 'node:readline/promises'
import { ExitError } from '../failure.ts'

export interface Keyboard {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

/** @throws ExitError 130 */
export async function enter(prompt: string, { input, output }: Keyboard = { input: process.stdin, output: process.stdout }): Promise<void> {
  const reader = createInterface({ input, output, terminal: true })
  const closed = new Promise<never>((_resolve, reject) => reader.once('close', () => reject(new ExitError(130))))
  closed.catch(() => undefined)
  try {
    // Ctrl-C rejects the question too, with an error of readline's own.
    await Promise.race([closed, reader.question(prompt).catch(() => closed)])
  } finally {
    reader.close()
  }
}
