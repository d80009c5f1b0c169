import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { nextSnapshot, type Snapshot } from './snapshot.ts'

const pod = (n: number, more = '', ready = 'True', account = 'a'): string => `{apiVersion: v1, kind: Pod, metadata: {name: p${n}, namespace: foo, labels: {app: a${more}}}, spec: {serviceAccountName: ${account}, containers: [{name: a}], initContainers: [{name: istio-proxy}]}, status: {phase: Running, podIP: 10.244.0.${n}, conditions: [{type: Ready, status: "${ready}"}]}}`
const slice = (...pods: (readonly [number, boolean])[]): string => `{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, namespace: foo, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, ports: [{name: http, port: 80}], endpoints: [${pods.map(([n, ready]) => `{addresses: [10.244.0.${n}], conditions: {ready: ${ready}}, targetRef: {kind: Pod, name: p${n}, namespace: foo}}`).join(', ')}]}`
const service = (ip = '10.96.0.7'): string => `{apiVersion: v1, kind: Service, metadata: {name: a, namespace: foo}, spec: {clusterIP: ${ip}, selector: {app: a}, ports: [{name: http, port: 80}]}}`
const policy = '{apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: {name: default, namespace: foo}, spec: {mtls: {mode: STRICT}}}'
const host = 'a.foo.svc.cluster.local'

const objects = (documents: readonly string[]) => decodeObjects(parseYaml(documents.join('\n---\n'), 'm.yaml').documents).objects
function between(before: readonly string[], now: readonly string[]): Snapshot['endpoints'] {
  const config = {}
  return nextSnapshot(nextSnapshot(undefined, objects(before), config), objects(now), config).endpoints
}

test('what is about endpoints alone, and what must be planned first', () => {
  const both = slice([1, true], [2, true])
  const base = [service(), pod(1), pod(2), both]
  const rows: readonly (readonly [string, readonly string[], readonly string[], 'complete' | 'first' | 'plan'])[] = [
    ['a slice says that one is not ready', base, [service(), pod(1), pod(2), slice([1, true], [2, false])], 'complete'],
    ['the pod says so too', base, [service(), pod(1), pod(2, '', 'False'), slice([1, true], [2, false])], 'complete'],
    ['one is gone from the slice', base, [service(), pod(1), pod(2), slice([1, true])], 'first'],
    ['a pod of the same kind comes', base, [...base.slice(0, 3), pod(3), slice([1, true], [2, true], [3, true])], 'first'],
    ['a pod goes', base, [service(), pod(1), slice([1, true])], 'first'],
    ['an identity comes that no client expects', base, [...base.slice(0, 3), pod(3, '', 'True', 'b'), slice([1, true], [2, true], [3, true])], 'plan'],
    ['labels come that a subset may ask for', base, [...base.slice(0, 3), pod(3, ', version: v2'), slice([1, true], [2, true], [3, true])], 'plan'],
    ['the first slice says what the selector said', [service(), pod(1), pod(2)], base, 'complete'],
    ['the first endpoint of all', [service()], [service(), pod(1), slice([1, true])], 'plan'],
    ['a headless service', [service('None'), ...base.slice(1)], [service('None'), pod(1), pod(2), slice([1, true], [2, false])], 'plan'],
    ['a policy comes along', base, [...base.slice(0, 3), slice([1, true], [2, false]), policy], 'plan'],
    ['a service changes', base, [service('10.96.0.8'), ...base.slice(1)], 'plan'],
  ]
  for (const [what, before, now, expected] of rows) {
    const changes = between(before, now)
    assert.equal(changes === undefined ? 'plan' : changes.complete ? 'complete' : 'first', expected, what)
    if (changes !== undefined) assert.deepEqual([...changes.hosts], [host], what)
  }
  assert.equal(between(base, base), undefined)
})

test('another meshConfig is more than endpoints', () => {
  const all = objects([service(), pod(1), slice([1, true])])
  const first = nextSnapshot(undefined, all, {})
  assert.equal(nextSnapshot(first, objects([service(), pod(1), slice([1, false])]), {}).endpoints, undefined)
  assert.equal(buildMesh(all).options.trustDomain, 'cluster.local')
})
