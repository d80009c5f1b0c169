// Every field of a VirtualService and a DestinationRule is served, or what happens instead is said by name.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { destinationRule } from './kinds/networking.ts'
import { virtualService } from './kinds/virtual-service.ts'
import type { ApiObject } from './object.ts'
import type { SchemaNode } from './schema.ts'
import { servingOf, unservedFields } from './served-fields.ts'

function leaves(node: SchemaNode, path: string): string[] {
  switch (node.type) {
    case 'object':
      return Object.entries(node.fields).flatMap(([name, field]) => leaves(field, path === '' ? name : `${path}.${name}`))
    case 'list':
      return leaves(node.item, `${path}[]`)
    case 'map':
      return leaves(node.value, `${path}{}`)
    default:
      return [path]
  }
}

for (const [kind, schema] of [['VirtualService', virtualService], ['DestinationRule', destinationRule]] as const) {
  test(`every field of a ${kind} has an answer`, () => {
    const all = leaves(schema, '')
    assert.ok(all.length > 80)
    assert.deepEqual(all.filter((path) => servingOf(kind, path) === undefined), [])
  })
}

const of = (kind: string, spec: object): string[] => unservedFields({ kind, apiVersion: 'networking.istio.io/v1', metadata: { name: 'x', namespace: 'n', labels: {}, annotations: {} }, spec, raw: {}, origin: { file: '' } } as unknown as ApiObject).map((p) => `${p.ref.path}: ${p.message}`)

test('what is written is told by its path, once for each reason', () => {
  assert.deepEqual(of('DestinationRule', { host: 'a', trafficPolicy: { connectionPool: { http: { useClientProtocol: true }, tcp: { tcpKeepalive: { probes: 3 } } }, portLevelSettings: [{ port: { number: 1 }, loadBalancer: { warmup: { duration: 1000 } } }] }, subsets: [{ name: 'v1', labels: { tunnel: 'x' }, trafficPolicy: { proxyProtocol: { version: 'V2' } } }] }), [
    'spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.probes: probes is not served by Kith’s own sidecar (an Envoy would): the kernel’s own number of probes holds',
    'spec.trafficPolicy.portLevelSettings[0].loadBalancer.warmup.duration: duration is not served by Kith’s own sidecar (an Envoy would): a new endpoint gets its whole share at once',
    'spec.subsets[0].trafficPolicy.proxyProtocol.version: version is not served by this mesh: no PROXY header is sent',
  ])
  assert.deepEqual(of('VirtualService', { hosts: ['a'], http: [{ match: [{ headers: { statPrefix: { exact: 'x' } } }], headers: { request: { set: { statPrefix: 'y' } } }, retries: { attempts: 2, retryRemoteLocalities: false } }] }), [], 'names in maps are no fields, and a switch that is off asks for nothing')
  assert.equal(of('VirtualService', { hosts: ['a'], tcp: [{ match: [{ sourceSubnet: '10.0.0.0/8' }] }] }).length, 1)
})
