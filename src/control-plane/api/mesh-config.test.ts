import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeMeshConfig } from './mesh-config.ts'

test('the cluster’s domain: a DNS domain, else a fault, and the usual one holds', () => {
  assert.deepEqual(decodeMeshConfig({ compat: { autoMtls: 'istio', clusterDomain: 'k8s.example.org' } }, {}), { config: { compat: { autoMtls: 'istio', clusterDomain: 'k8s.example.org' } }, problems: [] })
  for (const bad of ['', 'K8s.corp', 'k8s.corp.', '-a.b', 'a..b', `${'a'.repeat(64)}.b`]) {
    const { config, problems } = decodeMeshConfig({ compat: { autoMtls: 'istio', clusterDomain: bad } }, {})
    assert.deepEqual(config, { compat: { autoMtls: 'istio' } })
    assert.deepEqual(problems.map((p) => [p.severity, p.ref.path, p.message]), [['error', 'compat.clusterDomain', `${JSON.stringify(bad)} is no DNS domain`]])
  }
})
