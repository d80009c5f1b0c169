// kith uninstall leaves nothing of itself. Definitions that still hold a user's objects are kept, and said to be: those go first.
import assert from 'node:assert/strict'
import { kith, kubectl, until } from '../cluster.ts'
import type { Story } from './story.ts'

const kinds = 'customresourcedefinitions,mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings,namespaces'

const left = (): string[] => [
  ...kubectl(`get ${kinds} -o name`).split('\n').filter((name) => /istio|kith/.test(name)),
  ...kubectl('get configmaps,secrets,leases,serviceaccounts,services,deployments,poddisruptionbudgets,roles,rolebindings -A -o name').split('\n').filter((name) => /istio|kith/.test(name)),
]

export const uninstall: Story = {
  title: 'kith uninstall --purge leaves nothing behind',
  async run() {
    kubectl('delete namespace foo bar legacy outside --wait=false')
    kubectl('delete serviceentry,destinationrule external-service -n default')
    kubectl('wait --for=delete namespace/foo namespace/bar namespace/legacy namespace/outside --timeout=120s', { timeoutMs: 130_000 })
    kith('uninstall --purge -y', { timeoutMs: 180_000 })
    kubectl('delete namespace istio-system --ignore-not-found', { timeoutMs: 120_000 })
    await until('what is left', () => (left().length === 0 ? undefined : left().join(', ')), 90_000, 1000)
    assert.deepEqual(left(), [])
  },
}
