// Another authority takes over while several replicas of the control plane run, while none runs, and as a root nears its end. Law: no peer is ever shown a chain to a root that it may not hold.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { newRootFiles, type AuthorityFiles } from '#ca'
import { parseCertificates } from '#identity'
import { startInCluster, type ClusterControlPlane } from '#server'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'
import { askCertificate, SidecarClient, type Proof } from './sidecar-client.ts'

const system = 'istio-system'
const secrets = `/api/v1/namespaces/${system}/secrets`
const pods = (ns: string): string => `/api/v1/namespaces/${ns}/pods`

type Plane = ClusterControlPlane & { readonly lines: Line[]; readonly me: string }

async function cluster(t: TestContext): Promise<{ api: ApiServer; start: (me: string, more?: object) => Promise<Plane> }> {
  const api = await ApiServer.start()
  for (const name of [system, 'foo']) api.put('/api/v1/namespaces', { kind: 'Namespace', metadata: { name } })
  for (const name of ['x', 'y']) {
    api.put(pods('foo'), { kind: 'Pod', metadata: { name }, spec: { serviceAccountName: name, containers: [{ name: 'app', image: 'app' }, { name: 'istio-proxy', image: 'kith' }] }, status: { phase: 'Running', podIP: name === 'x' ? '10.0.0.1' : '10.0.0.2' } })
    api.tokens.set(name, { authenticated: true, audiences: ['istio-ca'], user: { username: `system:serviceaccount:foo:${name}`, groups: ['system:serviceaccounts'], extra: { 'authentication.kubernetes.io/pod-name': [name] } } })
  }
  t.after(() => api.down().catch(() => undefined))
  return {
    api,
    async start(me, more = {}) {
      const lines: Line[] = []
      api.put(pods(system), { kind: 'Pod', metadata: { name: me, labels: { app: 'istiod' } }, spec: { containers: [] } })
      const plane = await startInCluster({ client: clientOf(api), namespace: system, revision: 'default', me, listen: '127.0.0.1:0', statusPort: { host: '127.0.0.1', port: 0 }, staging: { leastMs: 0 }, log: remember(lines), ...more })
      t.after(() => plane.stop())
      await eventually('a snapshot', () => plane.snapshot()?.workloadById.has('x.foo'), (there) => there === true)
      return { ...plane, lines, me }
    },
  }
}

const plugIn = (api: ApiServer, files: AuthorityFiles): unknown => api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data: Object.fromEntries(Object.entries(files).map(([k, v]) => [k, Buffer.from(v).toString('base64')])) })
const prints = (pem: string): string[] => parseCertificates(pem).map((c) => c.fingerprint256).sort()
const bundle = (api: ApiServer): string => (api.read('/api/v1/namespaces/foo/configmaps', 'istio-ca-root-cert')?.['data'] as Record<string, string> | undefined)?.['root-cert.pem'] ?? ''
const ask = (plane: Plane, token: string, roots: string): Promise<Proof> => askCertificate({ address: `127.0.0.1:${plane.port}`, serverName: 'istiod.istio-system.svc', roots }, token)
const isSignedBy = ({ chain }: Proof, root: string): boolean => new X509Certificate(chain).verify(new X509Certificate(root).publicKey)

/** A sidecar that is connected with a certificate of its own, and renews when it is told to. */
class Peer {
  readonly plane: Plane
  readonly name: string
  roots: string
  proof!: Proof
  #stream: SidecarClient | undefined
  constructor(t: TestContext, plane: Plane, name: string, roots: string) {
    Object.assign(this, { plane, name })
    this.plane = plane
    this.name = name
    this.roots = roots
    t.after(() => this.#stream?.close())
  }
  async renew(): Promise<void> {
    this.proof = await ask(this.plane, this.name, this.roots)
    this.roots = this.proof.roots
    const before = this.#stream
    this.#stream = new SidecarClient({ address: `127.0.0.1:${this.plane.port}`, serverName: 'istiod.istio-system.svc', roots: this.roots }, this.proof, `sidecar~10.0.0.1~${this.name}.foo~foo.svc.cluster.local`)
    await eventually(`${this.name} is connected`, () => this.#stream?.held.size, (n) => (n ?? 0) > 0)
    before?.close()
  }
  close(): void {
    this.#stream?.close()
  }
}

test('two replicas: neither signs by the new root before the sidecars of both know it, and the old root stays until all have new certificates', async (t) => {
  const { api, start } = await cluster(t)
  const first = await start('a')
  const second = await start('b')
  await eventually('one leads', () => first.leadership.isLeader() || second.leadership.isLeader(), (l) => l)
  const old = first.authority.trust().roots
  const peers = [new Peer(t, first, 'x', old), new Peer(t, second, 'y', old)] as const
  for (const p of peers) await p.renew()
  const young = await newRootFiles('cluster.local', Date.now())
  const both = prints(old + young['root-cert.pem'])
  plugIn(api, young)
  const steps = (): string[] => [first, second].map((p) => p.authority.trust().step)
  const open = (): boolean => [first, second].every((p) => p.authority.trust().renewBeforeMs !== undefined)
  await eventually('both replicas spread the new root', () => (open() ? steps() : []), (s) => s.join() === 'spreading,spreading')
  assert.deepEqual(prints(bundle(api)), both)
  // Each one alone is not enough, whichever leads.
  for (const [one, other] of [peers, [...peers].reverse()] as [Peer, Peer][]) {
    await pause(1100)
    await one.renew()
    assert.ok(isSignedBy(one.proof, old), 'signed by what all know')
    assert.deepEqual(prints(one.roots), both)
    if (other !== peers[0]) {
      await pause(700)
      assert.deepEqual(steps(), ['spreading', 'spreading'])
    }
  }
  await eventually('the new one signs', () => (open() ? steps() : []), (s) => s.join() === 'draining,draining')
  await pause(700)
  assert.deepEqual(steps(), ['draining', 'draining'])
  assert.doesNotMatch(JSON.stringify(api.read(secrets, 'istio-ca-staging')?.['data']), /ca-key/, 'the former key goes once it signs no more')
  for (const p of peers) {
    await pause(1100)
    await p.renew()
    assert.ok(isSignedBy(p.proof, young['root-cert.pem']))
    assert.deepEqual(prints(p.roots), both)
  }
  await eventually('the old root goes', steps, (s) => s.join() === 'steady,steady', 10_000)
  for (const p of [first, second]) {
    await eventually('roots', () => prints(p.authority.trust().roots), (r) => r.join() === prints(young['root-cert.pem']).join())
    assert.deepEqual(p.lines.filter((l) => l.message === 'certificate authority changed').map((l) => l.fields['step']), ['spreading', 'draining', 'steady'])
    assert.doesNotMatch(JSON.stringify(p.lines), /PRIVATE KEY/)
  }
})

test('a replica that starts amid a change takes it up where it stands; one whose pod is gone is not waited for', async (t) => {
  const { api, start } = await cluster(t)
  const first = await start('a')
  await eventually('it leads', () => first.leadership.isLeader(), (l) => l)
  const old = first.authority.trust().roots
  const x = new Peer(t, first, 'x', old)
  await x.renew()
  const young = await newRootFiles('cluster.local', Date.now())
  plugIn(api, young)
  await eventually('spreading', () => first.authority.trust(), (trust) => trust.renewBeforeMs !== undefined)
  const second = await start('b')
  assert.equal(second.authority.trust().step, 'spreading')
  assert.ok(isSignedBy(await ask(second, 'y', old), old), 'by the key that the leader left for it')
  // It leads no more, and the other goes on from there.
  x.close()
  await first.stop()
  api.remove(pods(system), 'a')
  await eventually('the other ends it', () => second.authority.trust(), (trust) => trust.step === 'steady', 40_000)
  assert.deepEqual(prints(second.authority.trust().roots), prints(young['root-cert.pem']))
})

test('replaced while no control plane ran: the root that was made before signs on while the plugged-in one is made known', async (t) => {
  const { api, start } = await cluster(t)
  const first = await start('a')
  const old = first.authority.trust().roots
  await eventually('the bundle', () => bundle(api), (b) => b === old)
  await first.stop()
  plugIn(api, await newRootFiles('cluster.local', Date.now()))
  const second = await start('b', { staging: { leastMs: 60_000 } })
  await eventually('both roots are in the bundle', () => prints(bundle(api)), (b) => b.length === 2, 20_000)
  assert.equal(second.authority.trust().step, 'spreading')
  assert.ok(isSignedBy(await ask(second, 'x', old), old))
})

test('replaced while no control plane ran, and the key that signed is gone: nothing is signed until pods have the new root from their mounts', async (t) => {
  const { api, start } = await cluster(t)
  const [old, young] = await Promise.all([newRootFiles('cluster.local', Date.now()), newRootFiles('cluster.local', Date.now())])
  plugIn(api, old)
  const first = await start('a')
  await eventually('the bundle', () => bundle(api), (b) => b.trim() === old['root-cert.pem'].trim())
  await first.stop()
  plugIn(api, young)
  const second = await start('b', { staging: { leastMs: 0, muteMs: 6000 } })
  await assert.rejects(ask(second, 'x', young['root-cert.pem']), { code: status.UNAVAILABLE, details: /root is being made known/ })
  await eventually('both roots are in the bundle', () => prints(bundle(api)).length, (n) => n === 2, 20_000)
  assert.equal(second.authority.maySign(), false)
  const proof = await eventually('it signs', () => ask(second, 'x', young['root-cert.pem']).catch(() => undefined), (p) => p !== undefined, 20_000)
  assert.ok(isSignedBy(proof as Proof, young['root-cert.pem']))
  await eventually('the old root goes', () => prints(bundle(api)), (b) => b.join() === prints(young['root-cert.pem']).join(), 20_000)
})

test('our own root is renewed before it ends: same key, same name, taken up in steps; certificates of before stay good', async (t) => {
  const { start } = await cluster(t)
  const plane = await start('a', { root: { rootLifetimeMs: 8000, checkEveryMs: 500, gracePercent: 20, jitter: false } })
  const old = plane.authority.trust().roots
  const before = await ask(plane, 'x', old)
  await eventually('renewed', () => plane.lines.some((l) => l.message === 'root of the mesh nears its end, it was renewed'), (yes) => yes, 10_000)
  const young = await eventually('the new one alone', () => plane.authority.trust(), ({ step, roots }) => step === 'steady' && roots !== old, 10_000)
  assert.deepEqual(plane.lines.filter((l) => l.message === 'certificate authority changed').map((l) => l.fields['step']).slice(0, 3), ['spreading', 'draining', 'steady'])
  const [a, b] = [new X509Certificate(old), new X509Certificate(young.roots)]
  assert.deepEqual([b.subject, b.publicKey.equals(a.publicKey), b.fingerprint256 === a.fingerprint256], [a.subject, true, false])
  assert.ok(Date.parse(b.validTo) > Date.parse(a.validTo))
  assert.ok(isSignedBy(before, young.roots), 'what it signed before is good')
  assert.doesNotMatch(JSON.stringify(plane.lines), /PRIVATE KEY/)
})

test('what was plugged in is its owner’s to renew', async (t) => {
  const { api, start } = await cluster(t)
  const files = await newRootFiles('cluster.local', Date.now(), 4000)
  plugIn(api, files)
  const plane = await start('a', { root: { checkEveryMs: 200, gracePercent: 99, jitter: false } })
  await eventually('it leads', () => plane.leadership.isLeader(), (l) => l)
  await pause(800)
  assert.equal(plane.authority.trust().roots.trim(), files['root-cert.pem'].trim())
  assert.equal(api.read(secrets, 'istio-ca-secret'), undefined)
})
