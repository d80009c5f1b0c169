import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultValues } from './default-values.ts'
import { rbac, tagRole } from './rbac.ts'
import { settingsOf } from './settings.ts'

interface Rule { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[]; readonly resourceNames?: string[] }
const settings = settingsOf(defaultValues)
const objects = [...rbac(settings), ...tagRole(settings, 'prod')]
const rulesOf = (kind: string): Rule[] => objects.filter((o) => o.kind === kind).flatMap((o) => o['rules'] as Rule[])

test('no wildcard anywhere, and no writing of what users wrote', () => {
  for (const rule of [...rulesOf('ClusterRole'), ...rulesOf('Role')]) {
    assert.ok(![...rule.apiGroups, ...rule.resources, ...rule.verbs].some((v) => v.includes('*')), JSON.stringify(rule))
    const writes = rule.verbs.some((v) => !['get', 'list', 'watch'].includes(v))
    if (writes && rule.apiGroups.some((g) => g.endsWith('istio.io'))) assert.ok(rule.resources.every((r) => r.endsWith('/status')), JSON.stringify(rule))
  }
})

test('secrets are those of the own namespace, by name but for making one', () => {
  assert.deepEqual(rulesOf('ClusterRole').filter((r) => r.resources.includes('secrets')), [])
  for (const rule of rulesOf('Role').filter((r) => r.resources.includes('secrets'))) assert.ok(rule.resourceNames?.every((n) => ['istio-ca-secret', 'cacerts', 'istio-ca-staging'].includes(n)) === true || rule.verbs.join() === 'create', JSON.stringify(rule))
})

test('webhooks and bundles are changed by name alone', () => {
  for (const rule of rulesOf('ClusterRole').filter((r) => r.verbs.includes('patch') && (r.resources.includes('configmaps') || r.resources.some((n) => n.endsWith('webhookconfigurations'))))) assert.equal(rule.resourceNames?.length, 1, JSON.stringify(rule))
})
