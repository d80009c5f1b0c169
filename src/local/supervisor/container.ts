// One container: a process, started again with growing pauses as its pod's restart policy says; its last lines and its end are kept.
import type { ChildProcess } from 'node:child_process'
import { StringDecoder } from 'node:string_decoder'
import { startFailure } from '../open-files.ts'
import { lastWords } from './last-words.ts'
import { LogRing } from './log-ring.ts'

export type RestartPolicy = 'Always' | 'OnFailure' | 'Never'

export interface ContainerOptions {
  readonly name: string
  readonly restartPolicy: RestartPolicy
  /** Starts the process; throws where that is impossible. */
  start(): ChildProcess
  /** Anything worth showing has changed. */
  onChange(): void
  /** It has ended and will not be started again. */
  onFinished?(exitCode: number): void
}

const firstPauseMs = 500
const longestPauseMs = 30_000
const restartGraceMs = 2000
/** A run this long clears the pause, as kubelet's ten minutes do. */
const steadyMs = 60_000

export class ContainerRunner {
  readonly name: string
  readonly logs = new LogRing()
  status = 'ContainerCreating'
  detail: string | undefined
  restarts = 0
  /** Set by probes; a container that does not run is never ready. */
  ready = false
  /** When the running process began. */
  startedAtMs = 0
  readonly #options: ContainerOptions
  #child: ChildProcess | undefined
  #timer: NodeJS.Timeout | undefined
  #pauseMs = firstPauseMs
  #restartReason: string | undefined
  #stopping = false
  #ended: Promise<void> = Promise.resolve()

  constructor(options: ContainerOptions) {
    this.#options = options
    this.name = options.name
  }

  get running(): boolean {
    return this.status === 'Running'
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Starts it, or starts it again at once where it waits. */
  start(): void {
    if (this.#child !== undefined || this.#stopping) return
    clearTimeout(this.#timer)
    try {
      this.#run(this.#options.start())
    } catch (error) {
      this.#over(128, startFailure(error as Error))
    }
  }

  #run(child: ChildProcess): void {
    this.#child = child
    this.startedAtMs = Date.now()
    this.status = 'Running'
    this.detail = undefined
    for (const stream of ['stdout', 'stderr'] as const) {
      const decoder = new StringDecoder('utf8')
      child[stream]?.on('data', (chunk: Buffer) => this.logs.push(stream, decoder.write(chunk)))
      child[stream]?.on('end', () => this.logs.end(stream))
    }
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => {
        this.#over(127, startFailure(error))
        resolve()
      })
      child.once('exit', (code, signal) => {
        this.#over(code ?? 128 + signalNumber(signal), signal === null ? undefined : `ended by ${signal}`)
        resolve()
      })
    })
    this.#options.onChange()
  }

  #over(code: number, detail?: string): void {
    if (this.#child === undefined && this.status !== 'ContainerCreating' && this.status !== 'CrashLoopBackOff') return
    this.#child = undefined
    this.ready = false
    const { restartPolicy, onFinished, onChange } = this.#options
    const asked = this.#restartReason
    this.#restartReason = undefined
    if (this.#stopping) this.status = 'Completed'
    else if (asked !== undefined) {
      this.detail = asked
      this.#again()
    } else if (restartPolicy === 'Never' || (restartPolicy === 'OnFailure' && code === 0)) {
      this.status = code === 0 ? 'Completed' : 'Error'
      this.detail = code === 0 ? undefined : (detail ?? this.#lastWords(code))
      onChange()
      return onFinished?.(code)
    } else {
      if (Date.now() - this.startedAtMs > steadyMs) this.#pauseMs = firstPauseMs
      this.status = code === 0 ? 'Completed' : this.restarts === 0 ? 'Error' : 'CrashLoopBackOff'
      this.detail = detail ?? this.#lastWords(code)
      this.#timer = setTimeout(() => this.#again(), this.#pauseMs)
      this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs)
    }
    onChange()
  }

  #again(): void {
    this.restarts++
    this.start()
  }

  /** `exit code 1: Error: listen EADDRINUSE` */
  #lastWords(code: number): string {
    const last = lastWords(this.logs.lines('stderr').map((l) => l.text))
    return `exit code ${code}${last === undefined ? '' : `: ${last}`}`
  }

  /** Ends the process and starts it again, as a failed liveness probe does. */
  restart(why: string): void {
    const child = this.#child
    if (child === undefined || this.#stopping) return
    this.#restartReason = why
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.#child === child && this.signal('SIGKILL'), restartGraceMs)
    child.once('exit', () => clearTimeout(timer))
  }

  /** To the whole group: a shell's children get it too. */
  signal(signal: NodeJS.Signals): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      this.#child?.kill(signal)
    }
  }

  /** Ends it for good: SIGTERM, after `graceMs` SIGKILL. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    if (this.#child === undefined) return
    this.signal('SIGTERM')
    const timer = setTimeout(() => this.signal('SIGKILL'), graceMs)
    await this.#ended
    clearTimeout(timer)
  }
}

const numbers: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGQUIT: 3, SIGABRT: 6, SIGKILL: 9, SIGSEGV: 11, SIGPIPE: 13, SIGALRM: 14, SIGTERM: 15 }

export function signalNumber(signal: string | null): number {
  return signal === null ? 0 : (numbers[signal] ?? 0)
}
