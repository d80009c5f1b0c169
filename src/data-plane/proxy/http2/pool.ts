// HTTP/2 connections to one endpoint in one guise. Law: one connection for all, another only where both ends' limits of streams leave no room; limits of connections and of waiting requests hold as for HTTP/1.1.
import type { RuntimeCluster } from '#engine'
import type { Pool, PoolCounts, PoolIo, PoolUser } from '../http-pool.ts'
import { PoolMembers } from '../pool-members.ts'
import type { UpstreamStream } from '../upstream-stream.ts'
import type { Http2UpstreamStream } from './upstream-stream.ts'
import type { Http2Upstream } from './upstream.ts'

export class Http2Pool implements Pool {
  readonly #io: PoolIo<Http2Upstream>
  readonly #members: PoolMembers<Http2Upstream>
  #retired = false

  constructor(io: PoolIo<Http2Upstream>, config: RuntimeCluster, counts: PoolCounts) {
    this.#io = io
    this.#members = new PoolMembers(io, config, counts)
  }

  get size(): number {
    return this.#members.size
  }

  acquire(user: PoolUser, fresh: boolean): void {
    const now = this.#io.nowMs()
    if (!fresh) {
      for (const connection of this.#members.all) {
        connection.sweep(now)
        if (connection.room && connection.probe()) return user.onConnection(connection.open())
      }
    }
    if (this.#members.wait(user)) this.#grow()
  }

  cancel(user: PoolUser): void {
    this.#members.cancel(user)
  }

  /** One connection at a time: all who wait may go on it. */
  #grow(): void {
    if (this.#members.opening || !this.#members.mayOpen) return
    this.#members.open(
      (connection) => {
        connection.onRoom = () => this.#serve()
        this.#serve()
        if (this.#retired) connection.retire()
      },
      (failure) => {
        // All who waited for it: each goes its own way from here.
        for (const user of this.#members.take(Infinity)) user.onNoConnection(failure)
      },
      () => this.#serve(),
    )
  }

  /** Gives room to those who wait; opens another connection where none is left. */
  #serve(): void {
    for (const connection of this.#members.all) {
      while (this.#members.waiting && connection.room) {
        const [user] = this.#members.take(1)
        user?.onConnection(connection.open())
      }
    }
    if (this.#members.waiting) this.#grow()
  }

  release(stream: UpstreamStream, whole: boolean): void {
    if (!whole || (stream as Http2UpstreamStream).unused) stream.abort()
  }

  sweep(): void {
    const now = this.#io.nowMs()
    for (const connection of this.#members.all) connection.sweep(now)
  }

  retire(): void {
    this.#retired = true
    for (const connection of this.#members.all) connection.retire()
  }

  destroy(): void {
    this.retire()
    for (const connection of this.#members.all) connection.destroy()
  }
}
