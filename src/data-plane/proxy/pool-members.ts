// What a pool of either protocol keeps count of: connections that are open or being opened, and users who wait for one.
// Law: the cluster's counts move here and nowhere else, so that its limits hold over all of its pools.
import type { RuntimeCluster } from '#engine'
import type { PoolCounts, PoolFailure, PoolIo, PoolUser } from './http-pool.ts'

export class PoolMembers<C> {
  readonly all = new Set<C>()
  readonly #io: PoolIo<C>
  readonly #config: RuntimeCluster
  readonly #counts: PoolCounts
  readonly #waiting: PoolUser[] = []
  #opening = 0

  constructor(io: PoolIo<C>, config: RuntimeCluster, counts: PoolCounts) {
    this.#io = io
    this.#config = config
    this.#counts = counts
  }

  get size(): number {
    return this.all.size + this.#opening
  }

  get opening(): boolean {
    return this.#opening > 0
  }

  get waiting(): boolean {
    return this.#waiting.length > 0
  }

  /** A pool without any connection may always open one, as in Envoy: others' can't serve it. */
  get mayOpen(): boolean {
    return this.size === 0 || this.#counts.connections < this.#config.limits.connections
  }

  /** False: too many wait already, and the user has been told so. */
  wait(user: PoolUser): boolean {
    if (this.#counts.pending >= this.#config.limits.pending) {
      user.onNoConnection({ kind: 'overflow' })
      return false
    }
    this.#counts.pending++
    this.#waiting.push(user)
    return true
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    this.#counts.pending--
  }

  /** Those who have waited longest, no longer counted. */
  take(most: number): PoolUser[] {
    const taken = this.#waiting.splice(0, most)
    this.#counts.pending -= taken.length
    return taken
  }

  /** One of the two is called, once; `onClosed` for a connection that was opened. */
  open(onOpen: (connection: C) => void, onFailure: (failure: PoolFailure) => void, onClosed: (connection: C) => void): void {
    this.#counts.connections++
    this.#opening++
    this.#io.open(
      (failure, connection) => {
        this.#opening--
        if (connection === undefined) {
          this.#counts.connections--
          return onFailure(failure ?? { kind: 'connect', timedOut: false, reason: '' })
        }
        this.all.add(connection)
        onOpen(connection)
      },
      (connection) => {
        if (!this.all.delete(connection)) return
        this.#counts.connections--
        onClosed(connection)
      },
    )
  }
}
