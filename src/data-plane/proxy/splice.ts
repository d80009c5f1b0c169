// Two byte streams tied together, each direction with its own back-pressure and its own end. Law: half-closing passes through; a reset on one side resets the other.
import { tcpStates } from '#netlink'
import type { Transport } from './transport.ts'

export interface Splice {
  /** Bytes from `a` to `b`. */
  sent: number
  /** Bytes from `b` to `a`. */
  received: number
  touched: boolean
  /** The first side that broke, if any. */
  broken: 'a' | 'b' | undefined
  /** That side was reset by its peer. */
  wasReset: boolean
  /** Ends what a peer has reset unheard: while nothing is read from it, or after its last byte. */
  reap(): void
}

/** `done` is called once, when both are closed. */
export function splice(a: Transport, b: Transport, done: (result: Splice) => void): Splice {
  const state: Splice = {
    sent: 0,
    received: 0,
    touched: true,
    broken: undefined,
    wasReset: false,
    reap() {
      for (const side of ['a', 'b'] as const) {
        const transport = side === 'a' ? a : b
        const deaf = transport.paused || (side === 'a' ? aEnded : bEnded)
        if (transport.closed || !deaf || transport.kernel()?.state !== tcpStates.closed) continue
        reset = side
        transport.destroy()
      }
    },
  }
  /** The side that `reap` has found reset. */
  let reset: 'a' | 'b' | undefined
  let open = 2
  let over = false
  const closed = (side: 'a' | 'b', ended: boolean, error: Error | undefined): void => {
    const other = side === 'a' ? b : a
    const broken = error !== undefined || side === reset
    if (broken || !ended) {
      if (!over && open === 2) {
        state.broken = side
        state.wasReset = broken
      }
      if (broken) other.reset()
      else other.destroy()
    }
    if (--open === 0 && !over) {
      over = true
      done(state)
    }
  }
  let aEnded = false
  let bEnded = false
  a.events = {
    onData(chunk) {
      state.touched = true
      state.sent += chunk.length
      if (!b.write(chunk)) a.pause()
    },
    onEnd() {
      aEnded = true
      b.end()
    },
    onDrain() {
      state.touched = true
      b.resume()
    },
    onClose: (error) => closed('a', aEnded, error),
  }
  b.events = {
    onData(chunk) {
      state.touched = true
      state.received += chunk.length
      if (!a.write(chunk)) b.pause()
    },
    onEnd() {
      bEnded = true
      a.end()
    },
    onDrain() {
      state.touched = true
      a.resume()
    },
    onClose: (error) => closed('b', bEnded, error),
  }
  if (a.closed) queueMicrotask(() => closed('a', aEnded, undefined))
  if (b.closed) queueMicrotask(() => closed('b', bEnded, undefined))
  a.resume()
  b.resume()
  return state
}
