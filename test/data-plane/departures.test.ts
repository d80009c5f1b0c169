// Who goes away ends what can no longer be answered, through both sidecars: the application hears of it, nothing stays open, and the log says so.
// Flags and details beside a stock Envoy's: test/envoy/departures.test.ts.
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { startPair, vip, type Pair } from './pair.ts'
import { intercepted, rawApp, until } from './talk.ts'

const get = 'GET /stuck HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'

interface Seen {
  begun: number
  ended: number
  reset: number
}

/** An application that never answers, and counts the connections that end and that are reset. */
async function stuckApp(reads = true) {
  const seen: Seen = { begun: 0, ended: 0, reset: 0 }
  const app = await rawApp((socket: Socket) => {
    seen.begun++
    socket.on('end', () => seen.ended++)
    socket.on('error', (error: NodeJS.ErrnoException) => (seen.reset += error.code === 'ECONNRESET' ? 1 : 0))
    if (!reads) socket.pause()
  })
  return { ...app, seen }
}

const nothingLeft = (pair: Pair): Promise<void> =>
  until(() => [pair.client, pair.server].every((side) => side.connections().downstream === 0 && side.connections().upstream === 0), 'no connection is left in the sidecars')

for (const leave of ['closes', 'resets'] as const)
  test(`HTTP/1.1: a caller that ${leave} while it waits for an answer`, { timeout: 20_000 }, async () => {
    const app = await stuckApp()
    const pair = await startPair({ appPort: app.port })
    try {
      const callers = await Promise.all(Array.from({ length: 40 }, () => intercepted(pair.proxyPort)))
      for (const caller of callers) caller.write(get)
      await until(() => app.seen.begun === 40, '40 requests')
      for (const caller of callers) {
        if (leave === 'closes') caller.end()
        else caller.resetAndDestroy()
      }
      await until(() => app.seen.ended + app.seen.reset === 40, 'the application hears of all 40')
      await nothingLeft(pair)
      for (const lines of [pair.clientLog, pair.serverLog]) {
        await until(() => lines.length === 40, '40 log lines')
        for (const line of lines) assert.match(line, / 0 DC downstream_remote_disconnect /)
      }
      for (const caller of callers) caller.destroy()
    } finally {
      await pair.stop()
      app.close()
    }
  })

test('HTTP/1.1: a caller that leaves in an upload which nobody reads', { timeout: 20_000 }, async () => {
  const app = await stuckApp(false)
  const pair = await startPair({ appPort: app.port })
  try {
    const caller = await intercepted(pair.proxyPort)
    caller.write('POST / HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: 100000000\r\n\r\n')
    await until(() => app.seen.begun === 1, 'the request')
    // More than all buffers on the way hold; what is left stays.
    for (let i = 0; i < 40; i++) caller.write(Buffer.alloc(1_000_000))
    let left = 0
    let same = 0
    await until(() => (same = left === (left = caller.writableLength) ? same + 1 : 0) === 30, 'a full way')
    assert.ok(left > 0)
    caller.resetAndDestroy()
    await until(() => pair.clientLog.length === 1, 'a log line')
    assert.match(pair.clientLog[0] ?? '', / 0 DC downstream_remote_disconnect /)
    await nothingLeft(pair)
  } finally {
    await pair.stop()
    app.close()
  }
})

const tcpPair = (appPort: number) => startPair({ appPort, inbound: [{ port: 9000, kind: 'tcp', mode: 'STRICT' }], outbound: (base) => [{ ...base, kind: 'tcp', port: 9000 }] })

for (const when of ['at once', 'after its last byte'] as const)
  test(`TCP: a reset by the client ${when} is a reset for the application`, { timeout: 20_000 }, async () => {
    const app = await stuckApp()
    const pair = await tcpPair(app.port)
    try {
      const caller = await intercepted(pair.proxyPort, `${vip}:9000`)
      if (when === 'at once') caller.write('hello')
      else caller.end('hello')
      await until(() => app.received[0]?.length === 1 && (when === 'at once' || app.seen.ended === 1), 'all that the client said')
      caller.resetAndDestroy()
      await nothingLeft(pair)
      if (when === 'at once') await until(() => app.seen.reset === 1, 'the reset')
    } finally {
      await pair.stop()
      app.close()
    }
  })
