// Another root takes over under traffic, with two replicas of the control plane and real sidecars; some renew every ten seconds anyway. Law: no call fails, new connections included.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacerts, makeLevels } from '../../certificates/openssl-authorities.ts'
import { call } from '../calls.ts'
import { apply, kith, kubectl, pods, podsReady, rolledOut, tryKubectl, until } from '../cluster.ts'
import type { Story } from './story.ts'

/** Each call opens its own connection between the sidecars: each is a handshake. */
const traffic = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: httpbin-fresh, namespace: foo}
spec:
  host: httpbin.bar.svc.cluster.local
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: caller, namespace: foo}
spec:
  replicas: 3
  selector: {matchLabels: {app: caller}}
  template:
    metadata:
      labels: {app: caller}
      annotations: {proxy.istio.io/config: '{"holdApplicationUntilProxyStarts": true, "proxyMetadata": {"SECRET_TTL": "20s"}}'}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: caller
        image: kith.dev/sleep:1
        command: [/bin/sh, -c, 'while true; do curl -s -m 5 -o /dev/null -w "%{http_code} %{errormsg}\\n" http://httpbin.bar:8000/headers; sleep 0.1; done']
`
const late = 'apiVersion: v1\nkind: Pod\nmetadata: {name: late, namespace: foo}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers: [{name: sleep, image: "kith.dev/sleep:1"}]\n'

/** What the definitions can't refuse, and the webhook does. */
const odd = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: odd, namespace: foo}
spec: {hosts: [a.example], http: [{match: [{uri: {regex: "("}}], route: [{destination: {host: b.example}}]}]}
`

const bundle = (): string => kubectl('get configmap istio-ca-root-cert -n foo -o jsonpath={.data.root-cert\\.pem}').trim()
const steps = (pod: string): string[] => kubectl(`logs -n istio-system ${pod}`).split('\n').filter((l) => l.includes('"certificate authority changed"')).map((l) => (JSON.parse(l) as { step: string }).step)
const answers = (): string[] => kubectl('logs -n foo -l app=caller -c caller --tail=-1').split('\n').filter((l) => l !== '')

export const rootChange: Story = {
  title: 'another root takes over under traffic, two replicas of the control plane: no call fails',
  async run(say) {
    kubectl('scale deployment istiod -n istio-system --replicas=2')
    rolledOut('istio-system')
    apply(traffic)
    const callers = await podsReady('foo', '2/2', 3, 'app=caller')
    const planes = (await podsReady('istio-system', '1/1', 2)).map((p) => p.name)
    await until('calls', () => (answers().filter((a) => a.startsWith('200')).length > 30 ? undefined : answers().slice(-3).join('; ')), 30_000)
    const old = bundle()
    const from = new Map(planes.map((p) => [p, steps(p).length]))

    const fromMs = performance.now()
    // As people make it: openssl, names in several encodings, an intermediate that signs.
    const folder = mkdtempSync(join(tmpdir(), 'kith-root-change-'))
    const files = cacerts(makeLevels(folder, 'root-change', [{ subject: '/O=Corp/CN=Corp Root' }, { subject: '/O=Corp+OU=Mesh', mask: 'bmp', key: 'RSA 2048' }]))
    rmSync(folder, { recursive: true })
    const root = (files['root-cert.pem'] ?? '').trim()
    apply(JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts', namespace: 'istio-system' }, stringData: files }))
    await until('both roots', () => (bundle().includes(old) && bundle().includes(root) ? undefined : 'not in the bundle'), 20_000, 100)
    apply(late)
    await until('the new root alone', () => (bundle() === root ? undefined : `steps ${planes.map((p) => steps(p).join(' ')).join(' | ')}`), 120_000, 500)
    const seconds = (performance.now() - fromMs) / 1000
    for (const p of planes) await until(`steps of ${p}`, () => (steps(p).slice(from.get(p)).join(' ') === 'spreading draining steady' ? undefined : steps(p).join(' ')), 10_000)
    // What is mounted follows later, and certificates are renewed under the new root.
    await new Promise((resolve) => setTimeout(resolve, 12_000))
    assert.equal(call({ from: 'sleep.foo', to: 'http://httpbin.bar:8000/headers' }).outcome, 'mtls')
    // The API server takes the webhooks' certificates of the new authority: a pod is injected, a policy is validated.
    apply(late.replace('name: late', 'name: later'))
    await until('later', () => (pods('foo').some((p) => p.name === 'later' && p.ready === '2/2') ? undefined : JSON.stringify(pods('foo'))))
    assert.match(tryKubectl(['apply', '-f', '-'], { input: odd }).stderr, /admission webhook "(rev\.)?validation\.istio\.io" denied/)
    assert.match(kith('precheck'), /can be installed or upgraded/)
    assert.equal(call({ from: 'pod/late.foo', to: 'http://httpbin.bar:8000/headers' }).outcome, 'mtls')
    const all = answers()
    const failed = all.filter((a) => !a.startsWith('200'))
    const renewals = callers.map((p) => kubectl(`logs -n foo ${p.name} -c istio-proxy`).split('\n').filter((l) => l.includes('certificate received')).length)
    say(`${seconds.toFixed(1)} s from the new root to the old one's end; ${all.length} calls, each over a connection of its own, ${failed.length} failed; certificates of callers: ${renewals.join(', ')}`)
    assert.deepEqual(failed, [])
    assert.ok(renewals.every((n) => n >= 4), renewals.join())
    kubectl('delete deployment/caller destinationrule/httpbin-fresh pod/late pod/later -n foo --wait=false')
    kubectl('scale deployment istiod -n istio-system --replicas=1')
  },
}
