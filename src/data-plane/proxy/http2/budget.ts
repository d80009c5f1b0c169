// What a peer may make a sidecar do on an HTTP/2 connection besides carrying messages: control frames, frames without content, and heads
// that a few bytes of HPACK references stand for. Law: what is spent is earned back by time and by messages, so that no honest peer runs out;
// who runs out loses the connection, and nothing is counted per frame that the sidecar's own code does not see anyway.
import { constants, type Http2Session } from 'node:http2'
import type { Socket } from 'node:net'

/** In bytes: what a peer may have sent beyond what it has earned. */
const burst = 1024 * 1024
/** Earned by time, in bytes a second. */
const perSecond = 64 * 1024
/** SETTINGS and PING cost more than their bytes: they are answered. So 256 SETTINGS or 2,048 PINGs are a burst. */
const settingsCost = 4096
const pingCost = 512
/** Earned by each DATA frame that goes to the peer: it may answer with a PING and, as in Envoy, with ten WINDOW_UPDATEs. */
const sentFrameEarns = pingCost + 10 * 13
/** Earned by each DATA frame that comes: its own head, and padding. */
const readFrameEarns = 64
/** Earned by each stream: its HEADERS, RST_STREAM, WINDOW_UPDATE, PRIORITY. */
const streamEarns = 1024
/** What is read but not yet passed on earns in advance: small messages have heads of 9 bytes. */
const waitingEarns = 3
const frameBytes = 16 * 1024
/** What messages have earned and nobody has used is kept up to here. */
const maxCredit = 4 * burst
const sweepMs = 500

/** The same for all connections of a sidecar together; beyond it a connection has a sixteenth of its burst. */
const sidecarBurst = 16 * burst
const sidecarPerSecond = 16 * perSecond
const strictBurst = burst / 16

/** Decoded heads of open streams, in bytes: of a connection, of the sidecar. */
const connectionHeads = 8 * 1024 * 1024
const sidecarHeads = 64 * 1024 * 1024
/** Where half of the sidecar's is taken, each connection still has this much. */
const modestHeads = 64 * 1024

/** How long a peer that does not read may take to notice that its connection is over. */
const lingerMs = 1000

/** One for a sidecar. */
export class SidecarBudget {
  #debt = 0
  #atMs = performance.now()
  /** Decoded bytes of the heads of all open streams. */
  heads = 0

  /** `bytes`: what a connection spent beyond what its messages earned. */
  spend(bytes: number): void {
    this.#settle()
    this.#debt += bytes
  }

  get exhausted(): boolean {
    this.#settle()
    return this.#debt > sidecarBurst
  }

  #settle(): void {
    const now = performance.now()
    this.#debt = Math.max(0, this.#debt - ((now - this.#atMs) / 1000) * sidecarPerSecond)
    this.#atMs = now
  }
}

/** One for a connection. */
export class ConnectionBudget {
  readonly #session: Http2Session
  readonly #socket: Socket
  readonly #sidecar: SidecarBudget
  readonly #onSpent: (what: string) => void
  /** Spent and not yet earned back, as of the last sweep. */
  #debt = 0
  #sweptMs = performance.now()
  /** Since the last sweep. */
  #spent = 0
  #earned = 0
  /** Bytes that are accounted for since the connection began: messages, PINGs, and what messages have earned. */
  #known = 0
  /** Bytes that have come beyond those. */
  #unknown = 0
  #heads = 0
  /** Since the last sweep a frame has ended, or a part of DATA has come or gone. */
  #active = false
  /** Since when bytes come that end no frame; 0 = none have come since the last frame. */
  #slowSinceMs = 0
  #slowMs = 0
  #over = false
  #closed = false

  /** `onSpent` is called once: the connection is over, and why. */
  constructor(session: Http2Session, socket: Socket, sidecar: SidecarBudget, onSpent: (what: string) => void) {
    this.#session = session
    this.#socket = socket
    this.#sidecar = sidecar
    this.#onSpent = onSpent
    this.#known = socket.bytesRead
    session.on('ping', this.#onPing)
    session.on('remoteSettings', this.#onSettings)
    session.once('close', () => {
      this.#sidecar.heads -= this.#heads
      this.#heads = 0
      this.#closed = true
    })
  }

  readonly #onPing = (): void => {
    this.#known += 17
    this.#spend(pingCost, 'PING')
  }

  readonly #onSettings = (): void => this.#spend(settingsCost, 'SETTINGS')

  /** An acknowledgement came that answers nothing. */
  unaskedPing(): void {
    this.#onPing()
  }

  /** A stream has begun with this head, as it is after decoding. */
  stream(headBytes: number): void {
    this.#active = true
    this.#known += headBytes + streamEarns
  }

  /** A stream is gone whose message nobody read to its end: so much of it may have come. */
  unread(bytes: number): void {
    this.#known += bytes
  }

  /** DATA has come, and is passed on. */
  read(bytes: number): void {
    this.#active = true
    this.#known += bytes + readFrameEarns
  }

  /** DATA has been given to the connection. */
  sent(bytes: number): void {
    const earns = (1 + Math.floor(bytes / frameBytes)) * sentFrameEarns
    this.#active = true
    this.#known += earns
    this.#earned += earns
  }

  /** False: its head is one too many. Else `dropHead` gives it back, or the end of the connection does. */
  holdHead(bytes: number): boolean {
    const sidecar = this.#sidecar
    const mine = this.#heads + bytes
    const all = sidecar.heads + bytes
    if (mine > connectionHeads || all > sidecarHeads || (all > sidecarHeads / 2 && mine > modestHeads)) return false
    this.#heads = mine
    sidecar.heads = all
    return true
  }

  dropHead(bytes: number): void {
    if (this.#closed) return
    this.#heads -= bytes
    this.#sidecar.heads -= bytes
  }

  #spend(cost: number, what: string): void {
    this.#active = true
    this.#spent += cost
    if (this.#debt + this.#spent - this.#earned > this.#burst) this.#end(what)
  }

  get #burst(): number {
    return this.#sidecar.exhausted ? strictBurst : burst
  }

  /** For how long one frame has been coming, as of the last sweep: a head, most likely. 0 = there is none, or what comes may be WINDOW_UPDATEs. */
  get slowMs(): number {
    return this.#slowMs
  }

  /** `more`: bytes have come that nothing explains. */
  #noteSlowness(nowMs: number, more: boolean): void {
    if (this.#active) this.#slowSinceMs = 0
    else if (more && this.#slowSinceMs === 0) this.#slowSinceMs = nowMs
    this.#slowMs = more && this.#slowSinceMs > 0 ? nowMs - this.#slowSinceMs : 0
    this.#active = false
  }

  /** Whether it is time for the next sweep. */
  due(nowMs: number): boolean {
    return nowMs - this.#sweptMs >= sweepMs
  }

  /** `waiting`: bytes of DATA that are read and wait to be passed on. */
  sweep(nowMs: number, waiting: number): void {
    if (this.#over) return
    const read = this.#socket.bytesRead
    this.#known = Math.min(this.#known, read + maxCredit)
    const unknown = Math.max(0, read - this.#known - waitingEarns * waiting)
    this.#noteSlowness(nowMs, unknown > this.#unknown)
    this.#spent += Math.max(0, unknown - this.#unknown)
    // What was unknown and has become known since (it waited) was spent for nothing.
    this.#debt -= Math.max(0, this.#unknown - unknown)
    this.#unknown = unknown
    this.#sidecar.spend(Math.max(0, this.#spent - this.#earned))
    const debt = this.#debt + this.#spent - this.#earned - ((nowMs - this.#sweptMs) / 1000) * perSecond
    this.#debt = Math.max(0, debt)
    this.#sweptMs = nowMs
    this.#spent = this.#earned = 0
    if (this.#debt > this.#burst) this.#end('frames without content')
  }

  #end(what: string): void {
    if (this.#over) return
    this.#over = true
    this.#session.off('ping', this.#onPing)
    this.#session.off('remoteSettings', this.#onSettings)
    this.#onSpent(what)
    // Outside of nghttp2's own turn.
    setImmediate(() => {
      if (!this.#session.destroyed) this.#session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
      setTimeout(() => this.#socket.destroy(), lingerMs).unref()
    })
  }
}
