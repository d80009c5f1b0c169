// The control plane goes and comes back; a pod is evicted. Law: an outage never lets a pod in unmeshed, and never ends what runs.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { call, walkthrough } from '../calls.ts'
import { apply, kubectl, pods, podsReady, rolledOut, tryKubectl, until } from '../cluster.ts'
import type { Story } from './story.ts'

const mutual = { from: 'sleep.foo', to: 'http://httpbin.bar:8000/headers' }
const pod = (name: string, namespace: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: ${namespace}}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers: [{name: sleep, image: "kith.dev/sleep:1"}]\n`

export const outage: Story = {
  title: 'control plane down: new pods of labelled namespaces are refused, others are not, running traffic goes on; back: they come',
  async run(say) {
    kubectl('scale deployment istiod -n istio-system --replicas=0')
    kubectl('wait --for=delete pod -l app=istiod -n istio-system --timeout=60s')
    const refused = tryKubectl(['apply', '-f', '-'], { input: pod('late', 'foo') })
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /webhook/)
    say(refused.stderr.trim())
    for (const namespace of ['legacy', 'kube-system']) apply(pod('unconcerned', namespace), namespace)
    // What is never injected is not asked about: an annotation, the host's network.
    const optedOut = pod('opted-out', 'foo').replace('namespace: foo}', 'namespace: foo, annotations: {sidecar.istio.io/inject: "false"}}')
    const onTheHost = pod('on-the-host', 'foo').replace('spec:\n', 'spec:\n  hostNetwork: true\n')
    for (const text of [optedOut, onTheHost]) apply(text, 'foo')
    kubectl('delete pod/opted-out pod/on-the-host -n foo --wait=false')
    for (const namespace of ['legacy', 'kube-system']) kubectl(`delete pod unconcerned -n ${namespace} --wait=false`)
    for (let i = 0; i < 5; i++) assert.equal(call(mutual).outcome, 'mtls')
    // A replica that is asked for now comes when the control plane is back: the ReplicaSet tries again.
    kubectl('scale deployment httpbin -n bar --replicas=2')
    await until('refusal', () => (kubectl('get events -n bar').includes('failed calling webhook') ? undefined : 'no event says that the webhook failed'))
    assert.equal(pods('bar', 'app=httpbin').length, 1)

    kubectl('scale deployment istiod -n istio-system --replicas=1')
    rolledOut('istio-system')
    apply(pod('late', 'foo'), 'foo')
    await podsReady('bar', '2/2', 2, 'app=httpbin')
    await until('late', () => (pods('foo').some((p) => p.name === 'late' && p.ready === '2/2') ? undefined : JSON.stringify(pods('foo'))))
    // Sidecars have come back to it: what is applied now takes effect.
    kubectl(`apply -f ${join(walkthrough, 'disable-bar.yaml')}`)
    await until('policy after the outage', () => (call(mutual).outcome === 'blocked' ? undefined : 'has not reached sleep.foo'), 30_000)
    kubectl(`delete -f ${join(walkthrough, 'disable-bar.yaml')}`)
    await until('policy after the outage', () => (call(mutual).outcome === 'mtls' ? undefined : 'has not left sleep.foo'), 30_000)
    kubectl('delete pod late -n foo --wait=false')
    kubectl('scale deployment httpbin -n bar --replicas=1')
  },
}

export const eviction: Story = {
  title: 'a pod is evicted: no call fails while another takes its place',
  async run(say) {
    kubectl('scale deployment httpbin -n bar --replicas=2')
    const [victim] = await podsReady('bar', '2/2', 2, 'app=httpbin')
    const name = victim?.name ?? ''
    const failures: string[] = []
    let calls = 0
    const measure = (): void => {
      const { outcome, proof } = call(mutual)
      calls++
      if (outcome !== 'mtls') failures.push(`${new Date().toISOString()} ${outcome}: ${proof}`)
    }
    for (let i = 0; i < 3; i++) measure()
    kubectl(`create --raw /api/v1/namespaces/bar/pods/${name}/eviction -f -`, { input: JSON.stringify({ apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: 'bar' } }) })
    await until('replacement', () => {
      measure()
      const now = pods('bar', 'app=httpbin')
      return now.length === 2 && now.every((p) => p.ready === '2/2' && p.name !== name) ? undefined : JSON.stringify(now)
    }, 90_000)
    for (let i = 0; i < 5; i++) measure()
    say(`${calls} calls, ${failures.length} failed`)
    assert.deepEqual(failures, [])
    kubectl('scale deployment httpbin -n bar --replicas=1')
  },
}
