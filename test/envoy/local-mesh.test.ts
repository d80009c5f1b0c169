// The mesh of a folder with Envoy as every sidecar: the same YAML, the same outcome as with our own proxy.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { startMesh } from '#local'
import { KithError } from '#lib/errors.ts'
import { hasNamespaces } from '../scenario/fixtures/lane.ts'
import { until } from '../scenario/fixtures/mesh-lane.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { withMeshFolder } from './fixtures/mesh-folder.ts'

const strict = 'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: foo\nspec:\n  mtls:\n    mode: STRICT\n'

test('kith up --proxy envoy: pods become ready, calls are mutual TLS, STRICT refuses plaintext', async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined || !hasNamespaces(t)) return
  await withMeshFolder(() => binary, async (dir) => {
    const mesh = await startMesh({ dir, proxy: 'envoy', mode: 'namespaced' })
    try {
      await mesh.waitReady()
      const get = (from: string): ReturnType<typeof mesh.exec> => mesh.exec(from, ['curl', '-sS', '--max-time', '5', 'http://echo.foo:8000/'])
      const injected = await get('client.foo')
      assert.match((JSON.parse(injected.stdout) as { xfcc: string | null }).xfcc ?? '', /URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/client/)
      assert.equal((JSON.parse((await get('client.legacy')).stdout) as { xfcc: string | null }).xfcc, null)
      await mesh.apply(strict, 'strict.yaml')
      await until(async () => (await get('client.legacy')).code !== 0, 10_000)
      assert.equal((await get('client.foo')).code, 0)
    } finally {
      await mesh.down()
    }
  })
})

test('Envoy that can’t be run, or not in this mode, is said at once', async (t) => {
  if (!hasNamespaces(t)) return
  const said = (code: string) => (e: unknown): boolean => e instanceof KithError && e.code === code
  await withMeshFolder((top) => join(top, 'no-envoy'), async (dir) => {
    await assert.rejects(startMesh({ dir, proxy: 'envoy', mode: 'namespaced' }), said('ENVOY_MISSING'))
    await assert.rejects(startMesh({ dir, proxy: 'envoy', mode: 'explicit' }), said('MODE_UNSUPPORTED'))
  })
})
