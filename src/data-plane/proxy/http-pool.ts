// Keep-alive connections to one endpoint in one guise (TLS context, SNI, ALPN). Law: a connection serves one request at a time; the youngest idle one goes first.
import type { RuntimeCluster } from '#engine'
import type { HttpUpstream } from './http-upstream.ts'
import { PoolMembers } from './pool-members.ts'
import type { UpstreamStream } from './upstream-stream.ts'

export type PoolFailure =
  | { readonly kind: 'overflow' }
  | { readonly kind: 'connect'; readonly timedOut: boolean; readonly reason: string }
  | { readonly kind: 'secret'; readonly reason: string }

/** Whoever wants a connection. Exactly one of the two is called, unless it cancels. */
export interface PoolUser {
  onConnection(connection: UpstreamStream): void
  onNoConnection(failure: PoolFailure): void
}

/** Connections of a whole cluster, which its limits count. */
export interface PoolCounts {
  connections: number
  pending: number
}

/** `C`: a connection. */
export interface PoolIo<C> {
  /** Opens one; calls back once. */
  open(done: (failure: PoolFailure | undefined, connection: C | undefined) => void, onClosed: (connection: C) => void): void
  nowMs(): number
}

/** Connections to one endpoint in one guise and one protocol. */
export interface Pool {
  readonly size: number
  /** `fresh`: not one that has idled (it might be closing). */
  acquire(user: PoolUser, fresh: boolean): void
  /** The user no longer wants what it asked for; a connection that comes anyway is kept. */
  cancel(user: PoolUser): void
  /** Back from its request. `whole`: both ways came to their end. */
  release(connection: UpstreamStream, whole: boolean): void
  /** Closes what has idled too long. */
  sweep(): void
  /** No new requests: idle connections close now, busy ones when they are done. */
  retire(): void
  destroy(): void
}

/** Under load a connection is taken again at once, and a system call for each request would cost; its peer has no time to close it either. */
export const probedAfterMs = 0.2

export class HttpPool implements Pool {
  readonly #io: PoolIo<HttpUpstream>
  readonly #config: RuntimeCluster
  readonly #members: PoolMembers<HttpUpstream>
  readonly #idle: HttpUpstream[] = []
  #retired = false

  constructor(io: PoolIo<HttpUpstream>, config: RuntimeCluster, counts: PoolCounts) {
    this.#io = io
    this.#config = config
    this.#members = new PoolMembers(io, config, counts)
  }

  get size(): number {
    return this.#members.size
  }

  acquire(user: PoolUser, fresh: boolean): void {
    if (!fresh) {
      const idle = this.#takeIdle()
      if (idle !== undefined) return user.onConnection(idle)
    }
    if (this.#members.mayOpen) this.#open(user)
    else this.#members.wait(user)
  }

  cancel(user: PoolUser): void {
    this.#members.cancel(user)
  }

  #takeIdle(): HttpUpstream | undefined {
    const now = this.#io.nowMs()
    for (let c = this.#idle.pop(); c !== undefined; c = this.#idle.pop()) {
      if (c.closed || !c.reusable) continue
      if (!this.#stale(c, now) && (now - c.idleSinceMs < probedAfterMs || c.probe())) return c
      c.transport.destroy()
    }
    return undefined
  }

  /** Idle for so long that the peer may be closing it at this moment, or older than allowed. */
  #stale(c: HttpUpstream, now: number): boolean {
    const idle = now - c.idleSinceMs
    const { idleTimeoutMs, maxConnectionMs } = this.#config
    if (idleTimeoutMs > 0 && idle >= idleTimeoutMs) return true
    if (c.peerIdleMs > 0 && idle >= Math.max(c.peerIdleMs - 1000, c.peerIdleMs / 2)) return true
    return maxConnectionMs > 0 && now - c.openedMs >= maxConnectionMs
  }

  #open(user: PoolUser): void {
    this.#members.open(
      (connection) => user.onConnection(connection),
      (failure) => {
        user.onNoConnection(failure)
        this.#next()
      },
      (connection) => this.#closed(connection),
    )
  }

  #closed(connection: HttpUpstream): void {
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    this.#next()
  }

  #next(): void {
    if (!this.#members.mayOpen) return
    const [user] = this.#members.take(1)
    if (user !== undefined) this.#open(user)
  }

  release(stream: UpstreamStream, whole: boolean): void {
    const connection = stream as HttpUpstream
    if (!whole) connection.reusable = false
    const max = this.#config.maxRequestsPerConnection
    if (connection.closed) return
    if (this.#retired || !connection.reusable || (max > 0 && connection.requests >= max)) return connection.transport.destroy()
    const [user] = this.#members.take(1)
    if (user !== undefined) {
      if (connection.probe()) return user.onConnection(connection)
      connection.transport.destroy()
      return this.#open(user)
    }
    connection.idleSinceMs = this.#io.nowMs()
    this.#idle.push(connection)
  }

  sweep(): void {
    const now = this.#io.nowMs()
    for (const c of this.#idle.filter((idle) => this.#stale(idle, now))) c.transport.destroy()
  }

  retire(): void {
    this.#retired = true
    for (const c of this.#idle.splice(0)) c.transport.destroy()
  }

  destroy(): void {
    this.retire()
    for (const c of this.#members.all) c.transport.destroy()
  }
}
