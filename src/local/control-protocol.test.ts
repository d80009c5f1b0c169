import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeFrame, FrameReader } from './control-protocol.ts'

test('frames come out as they went in, however the bytes are cut', () => {
  const frame = fc.record({ channel: fc.constantFrom(0, 1, 2, 3), payload: fc.uint8Array({ maxLength: 60 }) })
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
      const bytes = Buffer.concat(frames.map((f) => encodeFrame(f.channel as 0, f.payload)))
      const reader = new FrameReader()
      const got: unknown[] = []
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const next = at + (cuts[i % cuts.length] as number)
        for (const f of reader.push(bytes.subarray(at, next))) got.push([f.channel, f.payload.toString('hex')])
        at = next
      }
      assert.deepEqual(got, frames.map((f) => [f.channel, Buffer.from(f.payload).toString('hex')]))
    }),
  )
})

test('what is no frame is refused', () => {
  assert.throws(() => new FrameReader().push(Buffer.from('GET / HTTP/1.1')), /not a frame/)
  assert.throws(() => new FrameReader().push(Buffer.from([0, 0xff, 0xff, 0xff, 0xff])), /not a frame/)
})
