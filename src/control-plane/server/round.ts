// What one change (or several that came together) meant for whom, said in one line of the log.
import type { Logger } from '#lib/log.ts'
import type { Snapshot } from './snapshot.ts'

const mostChanged = 12
const mostSent = 8
const mostProxies = 50

export class Round {
  readonly #log: Logger
  readonly #converged: (ms: number) => void
  #changed = new Set<string>()
  #told = new Map<string, readonly string[]>()
  #number = 0
  #fromMs: number | undefined

  constructor(log: Logger, converged: (ms: number) => void = () => undefined) {
    this.#log = log
    this.#converged = converged
  }

  begin(snapshot: Snapshot, fromMs: number): void {
    this.#number = snapshot.number
    this.#fromMs ??= fromMs
    for (const name of snapshot.changed) this.#changed.add(name)
  }

  told(proxy: string, sent: readonly string[]): void {
    if (sent.length > 0) this.#told.set(proxy, [...(this.#told.get(proxy) ?? []), ...sent])
  }

  /** Everybody has what the newest snapshot means for it. */
  end(): void {
    const fromMs = this.#fromMs
    if (fromMs === undefined) return
    this.#converged(performance.now() - fromMs)
    if (this.#changed.size > 0 || this.#told.size > 0) {
      const sent = Object.fromEntries([...this.#told].slice(0, mostProxies).map(([proxy, names]) => [proxy, shortened(names, mostSent)]))
      this.#log.info({ snapshot: this.#number, changed: shortened([...this.#changed], mostChanged), proxies: this.#told.size, sent, ms: Math.round(performance.now() - fromMs) }, 'change pushed')
    }
    this.#fromMs = undefined
    this.#changed = new Set()
    this.#told = new Map()
  }
}

function shortened(names: readonly string[], most: number): readonly string[] {
  return names.length <= most ? names : [...names.slice(0, most), `and ${names.length - most} more`]
}
