// Every field of every served kind is served, or what happens instead is said by name.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { istioKinds } from './kinds.ts'
import { kindServing } from './not-served-kinds.ts'
import type { ApiObject } from './object.ts'
import type { SchemaNode } from './schema.ts'
import { fieldKinds, servingOf, unservedFields } from './served-fields.ts'

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

test('every field of every kind that is served has an answer, and there is none for what is no field', () => {
  const served = Object.entries(istioKinds).filter(([kind, { group }]) => kindServing[`${group}/${kind}`] === true)
  assert.deepEqual(served.map(([kind]) => kind).sort(), [...fieldKinds].sort())
  for (const [kind, { spec }] of served) {
    const all = leaves(spec, '')
    assert.ok(all.length > 2)
    assert.deepEqual(all.filter((path) => servingOf(kind, path) === undefined), [], kind)
  }
  assert.equal(servingOf('ServiceEntry', 'endpoints[].zone'), undefined)
})

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

test('what would have defended somebody, and does not, is told', () => {
  assert.deepEqual(of('AuthorizationPolicy', { action: 'DENY', targetRefs: [{ kind: 'Gateway', group: 'gateway.networking.k8s.io', name: 'g' }], rules: [{}] }), [
    'spec.targetRefs[0].kind: kind is not served by this mesh: gateways and waypoints are not served, and the policy holds for no sidecar',
  ])
  assert.deepEqual(of('RequestAuthentication', { targetRef: { name: 'w', kind: 'Gateway' } }).length, 1)
  assert.deepEqual(of('Sidecar', { ingress: [{ port: { number: 443 }, tls: { mode: 'MUTUAL', serverCertificate: '/c', privateKey: '/k', caCertificates: '/a', verifyCertificateSpki: ['x'], minProtocolVersion: 'TLSV1_3' } }] }), [
    'spec.ingress[0].tls.verifyCertificateSpki[0]: verifyCertificateSpki[0] is not served by this mesh: the port’s TLS goes by mode, serverCertificate, privateKey, caCertificates and subjectAltNames alone',
  ])
  assert.deepEqual(of('ServiceEntry', { hosts: ['*.a.com'], resolution: 'DYNAMIC_DNS', endpoints: [{ address: '10.0.0.1', network: 'n' }] }).map((m) => m.split(':')[0]), ['spec.resolution', 'spec.endpoints[0].network'])
  assert.deepEqual(of('ServiceEntry', { hosts: ['a.com'], resolution: 'STATIC', endpoints: [{ address: 'unix:///a' }] }).map((m) => m.split(':')[0]), ['spec.endpoints[0].address'])
  assert.deepEqual(of('ServiceEntry', { hosts: ['a.com'], resolution: 'DNS', endpoints: [{ address: '10.0.0.1' }] }), [])
})
