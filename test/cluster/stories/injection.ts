// The seed's first half: namespaces, workloads, the label, `rollout restart`, 2/2, and the ways to see the sidecar.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apply, kith, kubectl, pods, podsReady, rolledOut, until } from '../cluster.ts'
import { walkthrough } from '../calls.ts'
import type { Story } from './story.ts'

const namespaces = ['foo', 'bar', 'legacy']

export const injection: Story = {
  title: 'a label on the namespace: pods that are there stay as they are, restarted ones are 2/2',
  async run(say) {
    apply(readFileSync(join(walkthrough, 'mesh.yaml'), 'utf8').replaceAll('\n  labels:\n    istio-injection: enabled', ''))
    for (const n of namespaces) await podsReady(n, '1/1', 2)
    const before = pods('foo').map((p) => p.name).sort()

    for (const n of ['foo', 'bar']) kubectl(`label namespace ${n} istio-injection=enabled`)
    assert.match(kubectl('get namespace foo --show-labels'), /istio-injection=enabled/)
    assert.deepEqual(pods('foo').map((p) => [p.name, p.ready]).sort(), before.map((name) => [name, '1/1']))

    for (const n of ['foo', 'bar']) kubectl(`rollout restart deployment -n ${n}`)
    for (const n of ['foo', 'bar']) rolledOut(n)
    for (const n of ['foo', 'bar']) await podsReady(n, '2/2', 2)
    await podsReady('legacy', '1/1', 2)
    say(kubectl('get pods -n foo').trim())
    await until('the old pods', () => pods('foo').filter((p) => before.includes(p.name)).map((p) => `${p.name} is ${p.status}`).join() || undefined, 30_000)

    const [{ name } = { name: '' }] = pods('foo', 'app=httpbin')
    assert.match(kubectl(`describe pod ${name} -n foo`), /istio-proxy:\n\s+Container ID:[^\n]*\n\s+Image:\s+kith\.dev\/proxyv2/)
    const names = kubectl(`get pod ${name} -n foo -o jsonpath={.spec.containers[*].name}`)
    const all = kubectl(`get pod ${name} -n foo -o jsonpath={.spec.initContainers[*].name},{.spec.containers[*].name}`)
    say(`{.spec.containers[*].name}: ${names}; init: ${all.split(',')[0]}`)
    assert.ok(all.split(/[ ,]/).includes('istio-proxy'))
    assert.match(kith(`describe pod ${name}.foo`), /istio-proxy|mtls|mTLS/)
    assert.match(kith('check-inject -n foo deploy/httpbin'), /true|yes|injected/i)
  },
}
