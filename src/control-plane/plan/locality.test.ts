// Localities as Istio's loadbalancer tests have them: near first, by failover's word, by labels, or by shares.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh } from '#mesh'
import type { DestinationRule } from '#api'
import type { PlanContext } from './context.ts'
import { placeByLocality, type LocalitySetting } from './locality.ts'
import type { EffectivePolicy } from './traffic-policy.ts'
import type { Endpoint } from './types.ts'

const from = {} as DestinationRule
const endpoint = (locality: string, labels: Record<string, string> = {}): Endpoint => ({ address: locality, port: 80, tls: { value: 'DISABLE', because: [] }, serverMtls: null, weight: 1, healthy: true, locality, labels })
const policy = (setting: LocalitySetting | undefined, outlier = true): EffectivePolicy => ({
  ...(setting === undefined ? {} : { loadBalancer: { value: { localityLbSetting: setting }, from, path: '' } }), ...(outlier ? { outlierDetection: { value: {}, from, path: '' } } : {}),
})
const contextAt = (locality: string | undefined, labels: Record<string, string> = {}): PlanContext => ({ mesh: buildMesh([]), client: { labels, ...(locality === undefined ? {} : { locality }) } }) as unknown as PlanContext

const places = ['r1/a/x', 'r1/a/y', 'r1/b', 'r2/c', 'r3/d']
const priorities = (setting: LocalitySetting | undefined, at: string | undefined = 'r1/a/x', outlier = true): (number | undefined)[] => placeByLocality(contextAt(at), policy(setting, outlier), places.map((p) => endpoint(p))).endpoints.map((e) => e.priority)

test('near first, where outliers are found out', () => {
  assert.deepEqual(priorities(undefined), [undefined, 1, 2, 3, 3])
  assert.deepEqual(priorities({ failover: [{ from: 'r1', to: 'r3' }] }), [undefined, 1, 2, 4, 3])
  assert.deepEqual(priorities(undefined, 'r9/z'), [undefined, undefined, undefined, undefined, undefined], 'all alike far: one priority, without a gap')
})

test('no priorities without outlier detection, where it is off, or where nobody knows where the client is', () => {
  const none = places.map(() => undefined)
  assert.deepEqual(priorities(undefined, 'r1/a/x', false), none)
  assert.deepEqual(priorities({ enabled: false }), none)
  assert.deepEqual(placeByLocality(contextAt(undefined), policy(undefined), places.map((p) => endpoint(p))).endpoints.map((e) => e.priority), none)
})

test('labels in order; a value in the rule stands for the client’s own', () => {
  const of = (named: string[]): (number | undefined)[] =>
    placeByLocality(contextAt('r1/a', { version: 'v1', tier: 'gold' }), policy({ failoverPriority: named }), [endpoint('r1/a', { version: 'v1', tier: 'gold' }), endpoint('r1/a', { version: 'v1' }), endpoint('r1/a', { version: 'v2', tier: 'gold' })]).endpoints.map((e) => e.priority)
  assert.deepEqual(of(['version', 'tier']), [undefined, 1, 2])
  assert.deepEqual(of(['version=v2']), [1, 1, undefined])
})

test('shares: what several localities match is divided by their endpoints; what nothing names gets nothing', () => {
  const placed = placeByLocality(contextAt('r1/a/x'), policy({ distribute: [{ from: 'r2/*', to: { r2: 100 } }, { from: 'r1/a/*', to: { 'r1/a/*': 60, 'r1/b': 40 } }] }, false), [...places, 'r1/a/x'].map((p) => endpoint(p)))
  assert.deepEqual(placed.weights, { 'r1/a/x': 40, 'r1/a/y': 20, 'r1/b': 40 })
  assert.deepEqual(placed.endpoints.map((e) => e.locality), ['r1/a/x', 'r1/a/y', 'r1/b', 'r1/a/x'])
})
