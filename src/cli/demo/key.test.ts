import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { enter } from './key.ts'

test('Enter goes on; Ctrl-C and the end of the input end', async () => {
  const press = async (keys: string | null): Promise<void> => {
    const input = new PassThrough()
    const waiting = enter('go on? ', { input, output: new PassThrough().resume() })
    if (keys === null) input.end()
    else input.write(keys)
    await waiting
  }
  await press('\r')
  for (const keys of ['\x03', '\x04', null]) await assert.rejects(press(keys), { exitCode: 130 })
})
