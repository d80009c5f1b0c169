// The probes of a running container over time: started, alive, ready. Before the first success it looks often, so that nobody waits for a period to pass.
import type { Container, Probe } from '#api'
import { probeOnce, type ProbeTarget } from './probe.ts'

export interface ProbingOptions {
  readonly container: Container
  readonly target: ProbeTarget
  /** Which run of the container this is: probes end with it. */
  readonly runId: number
  onReady(ready: boolean, why?: string): void
  onDead(why: string): void
}

const eagerMs = 60

export class Probing {
  readonly #options: ProbingOptions
  #stopped = false
  #timers = new Set<NodeJS.Timeout>()

  constructor(options: ProbingOptions) {
    this.#options = options
  }

  get running(): number {
    return this.#options.runId
  }

  start(): void {
    const { startupProbe, livenessProbe, readinessProbe } = this.#options.container
    const begin = (): void => {
      if (livenessProbe !== undefined) this.#watchLife(livenessProbe)
      if (readinessProbe !== undefined) this.#watchReadiness(readinessProbe)
      else this.#options.onReady(true)
    }
    if (startupProbe === undefined) begin()
    else this.#awaitStart(startupProbe, begin)
  }

  stop(): void {
    this.#stopped = true
    for (const t of this.#timers) clearTimeout(t)
  }

  #later(ms: number, action: () => void): void {
    if (this.#stopped) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      action()
    }, ms)
    this.#timers.add(timer)
  }

  async #look(probe: Probe, then: (failure: string | undefined) => void): Promise<void> {
    const failure = await probeOnce(probe, this.#options.container, this.#options.target)
    if (!this.#stopped) then(failure)
  }

  /** Looks often until the first success; gives up when as much time has passed as the probe's failures would take. */
  #awaitStart(probe: Probe, begin: () => void): void {
    const until = Date.now() + ((probe.initialDelaySeconds ?? 0) + (probe.periodSeconds ?? 10) * (probe.failureThreshold ?? 3)) * 1000
    const look = (): void => void this.#look(probe, (failure) => {
      if (failure === undefined) return begin()
      if (Date.now() > until) return this.#options.onDead(`startup probe failed: ${failure}`)
      this.#later(eagerMs, look)
    })
    this.#later((probe.initialDelaySeconds ?? 0) * 1000, look)
  }

  #watchReadiness(probe: Probe): void {
    let ready = false
    let inRow = 0
    const look = (): void => void this.#look(probe, (failure) => {
      const good = failure === undefined
      inRow = good === ready ? 0 : inRow + 1
      if (inRow >= (good ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3))) {
        ready = good
        inRow = 0
      }
      this.#options.onReady(ready, failure === undefined ? undefined : `readiness probe failed: ${failure}`)
      this.#later(ready || inRow > 0 && good ? (probe.periodSeconds ?? 10) * 1000 : eagerMs, look)
    })
    this.#later((probe.initialDelaySeconds ?? 0) * 1000, look)
  }

  #watchLife(probe: Probe): void {
    let failures = 0
    const look = (): void => void this.#look(probe, (failure) => {
      failures = failure === undefined ? 0 : failures + 1
      if (failures >= (probe.failureThreshold ?? 3)) return this.#options.onDead(`liveness probe failed: ${failure}`)
      this.#later((probe.periodSeconds ?? 10) * 1000, look)
    })
    this.#later(((probe.initialDelaySeconds ?? 0) + (probe.periodSeconds ?? 10)) * 1000, look)
  }
}
