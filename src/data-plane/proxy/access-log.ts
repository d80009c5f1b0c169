// Where access-log lines go: gathered, and written a batch at a time. Law: a full disk or a closed pipe loses lines, never a request.
import { closeSync, openSync, writeSync } from 'node:fs'
import { renderFormat, type AccessLog, type FormatOperator, type JsonFormat } from '#engine'

const flushAfterMs = 50
const flushAtChars = 32 * 1024

interface Sink {
  pending: string
  write(text: string): void
  close(): void
}

export class AccessLogs {
  readonly #sinks = new Map<string, Sink>()
  readonly #stdout: ((lines: string) => void) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stdout: ((lines: string) => void) | undefined) {
    this.#stdout = stdout
  }

  /** Writes a line to each log whose filter lets it pass. `flags`: response flags joined by `,`. */
  log(logs: readonly AccessLog[], flags: string, lookup: (operator: FormatOperator) => string | undefined): void {
    for (const log of logs) {
      if (log.onlyFlags !== undefined && !flags.split(',').some((f) => log.onlyFlags?.has(f))) continue
      const line = 'text' in log.format ? renderFormat(log.format.text, lookup) : JSON.stringify(renderJson(log.format.json, lookup)) + '\n'
      this.#append(log.path, line)
    }
  }

  #append(path: string, line: string): void {
    const sink = this.#sink(path)
    sink.pending += line
    if (sink.pending.length >= flushAtChars) flushSink(sink)
    else this.#timer ??= setTimeout(() => this.flush(), flushAfterMs).unref()
  }

  #sink(path: string): Sink {
    let sink = this.#sinks.get(path)
    if (sink === undefined) {
      if (path === '/dev/stdout' && this.#stdout !== undefined) sink = { pending: '', write: this.#stdout, close() {} }
      else if (path === '/dev/stdout') sink = { pending: '', write: (t) => void writeSync(1, t), close() {} }
      else if (path === '/dev/stderr') sink = { pending: '', write: (t) => void writeSync(2, t), close() {} }
      else sink = fileSink(path)
      this.#sinks.set(path, sink)
    }
    return sink
  }

  flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const sink of this.#sinks.values()) flushSink(sink)
  }

  close(): void {
    this.flush()
    for (const sink of this.#sinks.values()) sink.close()
    this.#sinks.clear()
  }
}

function flushSink(sink: Sink): void {
  const text = sink.pending
  if (text === '') return
  sink.pending = ''
  try {
    sink.write(text)
  } catch {
    // The reader is gone or the disk is full: these lines are lost.
  }
}

function fileSink(path: string): Sink {
  let fd: number | undefined
  return {
    pending: '',
    write(text) {
      fd ??= openSync(path, 'a', 0o640)
      writeSync(fd, text)
    },
    close() {
      if (fd !== undefined) closeSync(fd)
    },
  }
}

function renderJson(format: JsonFormat, lookup: (operator: FormatOperator) => string | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = {}
  for (const [key, value] of format) {
    if (!Array.isArray(value)) {
      out[key] = renderJson(value as JsonFormat, lookup)
      continue
    }
    const single = value.length === 1 ? value[0] : undefined
    if (single !== undefined && typeof single !== 'string') {
      const found = lookup(single)
      out[key] = found === undefined || found === '' ? null : /^(?:RESPONSE_CODE|BYTES_.*|.*DURATION)$/.test(single.op) ? Number(found) : found
    } else out[key] = renderFormat(value, lookup)
  }
  return out
}
