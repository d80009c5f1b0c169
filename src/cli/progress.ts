// Long work, shown: a line that changes on a terminal, one line a step in a pipe.
import { styleText } from 'node:util'

export class Progress {
  readonly #live = process.stdout.isTTY === true
  #open = ''

  /** Where it is at the moment: for a terminal alone. */
  at(text: string): void {
    if (this.#live) this.doing(text)
  }

  /** What is waited for. In a pipe it is printed when it changes. */
  doing(text: string): void {
    if (text === this.#open) return
    this.#open = text
    if (this.#live) process.stdout.write(`\r\u001B[2K${styleText('dim', `… ${text}`, { stream: process.stdout })}`)
    else process.stdout.write(`  ${text}\n`)
  }

  done(text: string): void {
    this.#line(styleText('green', '✔', { stream: process.stdout }), text)
  }

  failed(text: string): void {
    this.#line(styleText('red', '✘', { stream: process.stdout }), text)
  }

  note(text: string): void {
    this.#line(styleText('yellow', '!', { stream: process.stdout }), text)
  }

  #line(sign: string, text: string): void {
    if (this.#live && this.#open !== '') process.stdout.write('\r\u001B[2K')
    this.#open = ''
    process.stdout.write(`${sign} ${text}\n`)
  }
}
