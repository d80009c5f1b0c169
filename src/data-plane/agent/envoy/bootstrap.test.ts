import { fromJson, toJson, type JsonValue } from '@bufbuild/protobuf'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KithError } from '#lib/errors.ts'
import { message, registry } from '#proto'
import type { Bootstrap } from '../../../../generated/types/envoy/config/bootstrap/v3/bootstrap_pb.ts'
import { envoyBootstrap, type BootstrapPlaces } from './bootstrap.ts'
import { findEnvoy } from './envoy-data-plane.ts'

const places: BootstrapPlaces = {
  node: { id: 'sidecar~10.0.0.1~a.b~b.svc.cluster.local', cluster: 'a.b', metadata: { NAMESPACE: 'b', LABELS: { app: 'a' } } }, discoveryAddress: '10.96.0.1:15012', discoveryName: 'istiod.istio-system.svc', secretsSocket: '/tmp/x/sds', adminPort: 15000, prometheusPort: 15090,
}
const read = (p: BootstrapPlaces): Bootstrap => fromJson(message<Bootstrap>('envoy.config.bootstrap.v3.Bootstrap'), envoyBootstrap(p) as JsonValue, { registry })

test('every field of the bootstrap is one that Envoy knows', () => {
  const bootstrap = read(places)
  assert.deepEqual(bootstrap.staticResources?.clusters.map((c) => c.name), ['sds-grpc', 'xds-grpc', 'prometheus_stats'])
  assert.equal(bootstrap.clusterManager, undefined)
  const text = JSON.stringify(toJson(message<Bootstrap>('envoy.config.bootstrap.v3.Bootstrap'), bootstrap, { registry }))
  assert.match(text, /"address":"10\.96\.0\.1","portValue":15012/)
  assert.match(text, /"exact":"istiod\.istio-system\.svc"/)
  assert.doesNotMatch(text, /PRIVATE KEY|inlineString/)
})

test('admin is on loopback alone; a mark goes onto every connection of Envoy’s own', () => {
  const bootstrap = read({ ...places, discoveryAddress: '[fd00::1]:15012', mark: 1337 })
  assert.equal(bootstrap.admin?.address?.address.case === 'socketAddress' && bootstrap.admin.address.address.value.address, '127.0.0.1')
  assert.deepEqual(bootstrap.clusterManager?.upstreamBindConfig?.socketOptions.map((o) => [o.level, o.name, o.value.value]), [[1n, 36n, 1337n]])
  assert.match(JSON.stringify(envoyBootstrap({ ...places, discoveryAddress: '[fd00::1]:15012' })), /"address":"fd00::1","port_value":15012/)
})

test('an Envoy that is not there is said before anything starts', () => {
  assert.throws(() => findEnvoy('/nowhere/envoy', ''), (e) => e instanceof KithError && e.code === 'ENVOY_MISSING')
  assert.throws(() => findEnvoy('', '/nowhere:'), (e) => e instanceof KithError && /KITH_ENVOY_PATH/.test(e.message))
})
