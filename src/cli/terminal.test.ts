import assert from 'node:assert/strict'
import { test } from 'node:test'
import { textOptions } from './terminal.ts'

test('a terminal that says 0 columns is as wide as it likes, a pipe too', () => {
  assert.deepEqual([textOptions({ isTTY: true, columns: 80 }).width, textOptions({ isTTY: true, columns: 10 }).width, textOptions({ isTTY: true, columns: 0 }).width], [80, 40, undefined])
  assert.equal(textOptions({ isTTY: false, columns: 80 } as never).width, undefined)
})
