// HTTP/2 connections to one endpoint in one guise. Law: one connection for all, another only where both ends' limits of streams leave no room; limits of connections and of waiting requests hold as for HTTP/1.1.
import type { RuntimeCluster } from '#engine'
import type { Pool, PoolCounts, PoolIo, PoolUser } from '../http-pool.ts'
import type { UpstreamStream } from '../upstream-stream.ts'
import type { Http2UpstreamStream } from './upstream-stream.ts'
import type { Http2Upstream } from './upstream.ts'

export class Http2Pool implements Pool {
  readonly #io: PoolIo<Http2Upstream>
  readonly #config: RuntimeCluster
  readonly #counts: PoolCounts
  readonly #all = new Set<Http2Upstream>()
  readonly #waiting: PoolUser[] = []
  #opening = 0
  #retired = false

  constructor(io: PoolIo<Http2Upstream>, config: RuntimeCluster, counts: PoolCounts) {
    this.#io = io
    this.#config = config
    this.#counts = counts
  }

  get size(): number {
    return this.#all.size + this.#opening
  }

  acquire(user: PoolUser, fresh: boolean): void {
    const now = this.#io.nowMs()
    if (!fresh) {
      for (const connection of this.#all) {
        connection.sweep(now)
        if (connection.room) return user.onConnection(connection.open(), connection.requests > 1)
      }
    }
    if (this.#counts.pending >= this.#config.limits.pending) return user.onNoConnection({ kind: 'overflow' })
    this.#counts.pending++
    this.#waiting.push(user)
    if (this.#opening === 0 && this.#mayOpen()) this.#open()
  }

  /** A pool without any connection may always open one, as in Envoy: others' can't serve it. */
  #mayOpen(): boolean {
    return this.size === 0 || this.#counts.connections < this.#config.limits.connections
  }

  cancel(user: PoolUser): void {
    const at = this.#waiting.indexOf(user)
    if (at < 0) return
    this.#waiting.splice(at, 1)
    this.#counts.pending--
  }

  #open(): void {
    this.#counts.connections++
    this.#opening++
    this.#io.open(
      (failure, connection) => {
        this.#opening--
        if (connection === undefined) {
          this.#counts.connections--
          // All who waited for it: each goes its own way from here.
          for (const user of this.#takeWaiting(Infinity)) user.onNoConnection(failure ?? { kind: 'connect', timedOut: false, reason: '' })
          return
        }
        this.#all.add(connection)
        connection.onRoom = () => this.#serve()
        this.#serve()
        if (this.#retired) connection.retire()
      },
      (connection) => this.#closed(connection),
    )
  }

  #takeWaiting(most: number): PoolUser[] {
    const taken = this.#waiting.splice(0, most)
    this.#counts.pending -= taken.length
    return taken
  }

  /** Gives room to those who wait; opens another connection where none is left. */
  #serve(): void {
    for (const connection of this.#all) {
      while (this.#waiting.length > 0 && connection.room) {
        const [user] = this.#takeWaiting(1)
        user?.onConnection(connection.open(), connection.requests > 1)
      }
    }
    if (this.#waiting.length > 0 && this.#opening === 0 && this.#mayOpen()) this.#open()
  }

  #closed(connection: Http2Upstream): void {
    if (!this.#all.delete(connection)) return
    this.#counts.connections--
    this.#serve()
  }

  release(stream: UpstreamStream, whole: boolean): void {
    if (!whole || (stream as Http2UpstreamStream).unused) stream.abort()
  }

  sweep(): void {
    const now = this.#io.nowMs()
    for (const connection of this.#all) connection.sweep(now)
  }

  retire(): void {
    this.#retired = true
    for (const connection of this.#all) connection.retire()
  }

  destroy(): void {
    this.retire()
    for (const connection of this.#all) connection.destroy()
  }
}
