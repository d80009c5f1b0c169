// An acknowledgement of a PING that was never sent. nghttp2 ignores it, as Envoy does; node ends the session, with the error that it
// also uses for frames that break the protocol. Law: the first is ignored, the second still ends the connection, at once.
import type { Http2Session } from 'node:http2'
import type { Socket } from 'node:net'

/** NGHTTP2_ERR_PROTO: node's error for every frame that breaks the protocol, and for every head that nghttp2 cannot read. */
export const protocolError = -505
/** A session has this long (10 looks of 10 ms) to show that it still sends. */
const lookMs = 10
const looks = 10

/** `socket`: what carries the session. `onUnasked` hears of each acknowledgement that was ignored. */
export function ignoreUnaskedPings(session: Http2Session, socket: Socket, onUnasked: () => void): void {
  const destroy = session.destroy.bind(session)
  /** Errors since the last look began; undefined: nothing is looked at. */
  let errors: number | undefined
  const look = (error: Error): void => {
    errors = 0
    // Until its stack is read, an error holds what its frames were called on: the session's handle, whose settings that were
    // not acknowledged hold the session. The socket keeps the error, and a session that ends after its socket would stay.
    void error.stack
    // nghttp2 has not acted on the frame yet. After this turn it has: then a broken session has sent its GOAWAY, and sends nothing more.
    setImmediate(() => {
      lives(session, socket, (alive) => {
        const more = errors !== 0
        errors = undefined
        if (!alive) return destroy(error)
        onUnasked()
        if (more) look(error)
      })
    })
  }
  session.destroy = (error?: Error, code?: number): void => {
    if ((error as NodeJS.ErrnoException | undefined)?.errno !== protocolError || code !== undefined) destroy(error, code)
    else if (errors === undefined) look(error as Error)
    else errors++
  }
}

/** Calls back once: whether the session still sends what it is given to send (here: a PING). */
function lives(session: Http2Session, socket: Socket, done: (alive: boolean) => void): void {
  if (session.destroyed || socket.destroyed) return done(false)
  const before = socket.bytesWritten
  if (!session.ping(() => {})) return done(false)
  let left = looks
  const look = (): void => {
    if (session.destroyed || socket.destroyed) return done(false)
    if (socket.bytesWritten > before) return done(true)
    if (--left === 0) return done(false)
    setTimeout(look, lookMs).unref()
  }
  setImmediate(look)
}
