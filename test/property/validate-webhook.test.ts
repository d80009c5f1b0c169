// The validating webhook: whatever is sent as one of the mesh's kinds gets an answer.
import { test } from 'node:test'
import fc from 'fast-check'
import { istioKinds } from '#api'
import { reviewConfig } from '../../src/control-plane/server/webhooks/review-config.ts'

test('whatever is sent as one of the mesh’s kinds, there is an answer', () => {
  const kinds: (readonly [string, string])[] = Object.entries(istioKinds).map(([kind, k]) => [`${k.group}/${k.versions[0]}`, kind])
  const fields = ['mtls', 'mode', 'selector', 'matchLabels', 'portLevelMtls', 'host', 'hosts', 'http', 'route', 'destination', 'port', 'number', 'match', 'uri', 'prefix', 'trafficPolicy', 'tls', 'subsets', 'name', 'labels', 'rules', 'from', 'source', 'principals', 'to', 'operation', 'when', 'key', 'values', 'servers', 'egress', 'ingress', 'exportTo', 'gateways', '__proto__', 'constructor', 'toString']
  const junk = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 6 }, fc.constantFrom(null, 0, -1, 1.5, 1e300, true, '', 'x', '*', 'a.b.c', 'STRICT', '__proto__', 'constructor'), fc.array(tie('any'), { maxLength: 3 }), fc.dictionary(fc.constantFrom(...fields), tie('any'), { maxKeys: 5, noNullPrototype: true })),
  })).any
  const known = fc.constantFrom(...kinds, ['security.istio.io/v1', 'constructor'] as const, ['networking.istio.io/v1', '__proto__'] as const)
  fc.assert(fc.property(known, junk, junk, ([apiVersion, kind], metadata, spec) => {
    const object = { apiVersion, kind, metadata: typeof metadata === 'object' && !Array.isArray(metadata) ? metadata : { name: 'x', namespace: 'y' }, spec }
    reviewConfig(JSON.parse(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', operation: 'CREATE', object } })))
  }), { numRuns: 2000 })
})
