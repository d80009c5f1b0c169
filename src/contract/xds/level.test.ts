import assert from 'node:assert/strict'
import { test } from 'node:test'
import { levelName, levelOf, resourceLevel, skew } from './level.ts'

test('who is older, who is newer, and of whom nothing is said', () => {
  const rows: readonly (readonly [string, Record<string, unknown> | undefined, RegExp | undefined])[] = [
    ['the same', { GENERATOR: 'kith', [levelName]: String(resourceLevel) }, undefined], ['older', { GENERATOR: 'kith', [levelName]: resourceLevel - 1 }, /older.*restart the pod/], ['from before', { GENERATOR: 'kith' }, /older/],
    ['newer', { GENERATOR: 'kith', [levelName]: resourceLevel + 1 }, /newer.*control plane first/], ['odd', { GENERATOR: 'kith', [levelName]: 'x' }, /older/], ['an Envoy', { ISTIO_VERSION: '1.30' }, undefined], ['nothing', undefined, undefined],
  ]
  for (const [what, metadata, expected] of rows) {
    const said = skew(metadata)
    if (expected === undefined) assert.equal(said, undefined, what)
    else assert.match(said ?? '', expected, what)
  }
  assert.deepEqual([levelOf({ [levelName]: '3' }), levelOf({ [levelName]: -1 }), levelOf({})], [3, undefined, undefined])
})
