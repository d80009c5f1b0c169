// An HTTP/2 connection that has ended leaves nothing in memory, however it ended: a peer would else take 30 KB by each one.
import assert from 'node:assert/strict'
import { queryObjects } from 'node:v8'
import { test } from 'node:test'
import { Http2ServerConnection } from '../../src/data-plane/proxy/http2/server.ts'
import { block, flag, frame, get, RawClient, type } from './frames.ts'
import { startPair } from './pair.ts'
import { rawApp, until } from './talk.ts'

/** How many are in memory. Collects garbage first, which takes a second. */
const kept = (): number => (queryObjects as (ctor: Function, options: { format: 'count' }) => number)(Http2ServerConnection, { format: 'count' })

const endings: readonly (readonly [string, Buffer])[] = [
  ['a CONTINUATION on stream 0', frame(type.continuation, 0, 0)],
  ['SETTINGS of 4 bytes', frame(type.settings, 0, 0, Buffer.alloc(4))],
  ['SETTINGS on a stream', frame(type.settings, 0, 1)],
  ['DATA on an idle stream', frame(type.data, 0, 1, Buffer.from('x'))],
  ['a header block that can’t be read', frame(type.headers, flag.endHeaders | flag.endStream, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]))],
  ['GOAWAY', frame(type.goaway, 0, 0, Buffer.alloc(8))],
  ['a request, and the client has gone', frame(type.headers, flag.endHeaders | flag.endStream, 1, block(get()))],
  ['two PINGs with ACK that answer none', Buffer.concat([frame(type.ping, flag.ack, 0, Buffer.alloc(8)), frame(type.ping, flag.ack, 0, Buffer.alloc(8))])],
]

test('an ended connection is forgotten', { timeout: 60_000 }, async () => {
  const app = await rawApp((socket) => socket.on('data', () => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')))
  const pair = await startPair({ appPort: app.port, mode: 'PERMISSIVE' })
  try {
    for (const [what, bytes] of endings) {
      for (let i = 0; i < 20; i++) {
        const client = new RawClient(pair.inboundPort)
        client.socket.end(bytes)
        await until(() => client.closed || client.goaway() !== undefined || client.has(type.headers, 1), `an answer to ${what}`)
        client.socket.destroy()
      }
    }
    // The last ones may still be closing.
    let left = kept()
    for (let i = 0; i < 10 && left > 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      left = kept()
    }
    assert.equal(left, 0)
  } finally {
    await pair.stop()
    app.close()
  }
})
