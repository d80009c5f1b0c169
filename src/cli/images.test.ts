import assert from 'node:assert/strict'
import { test } from 'node:test'
import { podImage, tagOf } from './images.ts'

test('a version is the tag, whatever stands around it', () => {
  for (const [image, tag] of [['kith.dev/pilot:0.1.0', '0.1.0'], ['localhost:5000/a/b:x@sha256:00', 'x'], ['localhost:5000/a/b', 'unknown'], ['a@sha256:00', 'unknown'], [undefined, 'unknown']] as const) assert.equal(tagOf(image), tag)
})

test('sidecars are found among containers and init containers', () => {
  const pod = (spec: object) => ({ apiVersion: 'v1', kind: 'Pod', metadata: {}, spec })
  assert.equal(podImage(pod({ containers: [{ name: 'app', image: 'a' }], initContainers: [{ name: 'istio-proxy', image: 'p:1' }] }), 'istio-proxy'), 'p:1')
  assert.equal(podImage(pod({ containers: [{ name: 'app', image: 'a' }] }), 'istio-proxy'), undefined)
})
