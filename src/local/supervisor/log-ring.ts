// The last lines of a container, for `kith logs`: bounded, so that a talkative program cannot eat the supervisor.

export interface LogLine {
  readonly stream: 'stdout' | 'stderr'
  readonly text: string
}

const mostLines = 5000
const mostBytes = 4 * 1024 * 1024
const longestLine = 64 * 1024

export class LogRing {
  #lines: LogLine[] = []
  #bytes = 0
  #rest = { stdout: '', stderr: '' }
  readonly #listeners = new Set<(line: LogLine) => void>()

  push(stream: 'stdout' | 'stderr', chunk: string): void {
    const lines = (this.#rest[stream] + chunk).split('\n')
    const last = lines.pop() as string
    this.#rest[stream] = last.length > longestLine ? '' : last
    if (last.length > longestLine) lines.push(last)
    for (const text of lines) this.#add({ stream, text })
  }

  /** The stream has ended: what stands without a newline is a line too. */
  end(stream: 'stdout' | 'stderr'): void {
    if (this.#rest[stream] !== '') this.#add({ stream, text: this.#rest[stream] })
    this.#rest[stream] = ''
  }

  lines(stream: 'stdout' | 'stderr' | 'both' = 'both', tail = Infinity): LogLine[] {
    const chosen = stream === 'both' ? this.#lines : this.#lines.filter((l) => l.stream === stream)
    return tail >= chosen.length ? [...chosen] : tail <= 0 ? [] : chosen.slice(-tail)
  }

  /** Lines from now on; returns the way to stop. */
  follow(listener: (line: LogLine) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  #add(line: LogLine): void {
    this.#lines.push(line)
    this.#bytes += line.text.length
    if (this.#lines.length > mostLines || this.#bytes > mostBytes) {
      const dropped = this.#lines.splice(0, Math.ceil(this.#lines.length / 4))
      this.#bytes -= dropped.reduce((n, l) => n + l.text.length, 0)
    }
    for (const listener of this.#listeners) listener(line)
  }
}
