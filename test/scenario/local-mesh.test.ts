// One mesh on this machine, used as its users would: names, virtual addresses, policy, injection, exec, replicas, Jobs, restarts.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { explain } from '#insight'
import { buildMesh } from '#mesh'
import { startMesh, type ExecResult, type MeshEvent, type MeshHandle } from '#local'
import { hasNamespaces, namespacesRefused } from './fixtures/lane.ts'
import { until } from './fixtures/mesh-lane.ts'

const top = mkdtempSync(join(tmpdir(), 'kith-test-'))
const dir = join(top, 'mesh')
const events: MeshEvent[] = []
let mesh: MeshHandle | undefined

before(async () => {
  if (namespacesRefused() !== undefined) return
  cpSync('test/scenario/fixtures/small-mesh', dir, { recursive: true })
  mesh = await startMesh({ dir, onEvent: (e) => events.push(e) })
  await mesh.waitReady()
})
after(async () => {
  await mesh?.down()
  rmSync(top, { recursive: true, force: true })
})

const up = (t: TestContext): MeshHandle | undefined => (hasNamespaces(t) ? mesh : undefined)
const get = (m: MeshHandle, from: string, url: string): Promise<ExecResult> => m.exec(from, ['curl', '-sS', '--max-time', '5', url])
const answer = (r: ExecResult): { me: string; from: string; xfcc: string | null } => JSON.parse(r.stdout) as never
const strict = 'apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: foo\nspec:\n  mtls:\n    mode: STRICT\n'

test('pods: READY, addresses, service accounts', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const pods = await m.ps()
  assert.deepEqual(pods.map((p) => [p.namespace, p.owner, `${p.containers.filter((c) => c.ready).length}/${p.containers.length}`, p.status, p.injected]), [
    ['foo', 'Pod/client', '2/2', 'Running', true], ['foo', 'Deployment/echo', '2/2', 'Running', true], ['legacy', 'Pod/client', '1/1', 'Running', false], ['legacy', 'Deployment/echo', '1/1', 'Running', false],
    ['legacy', 'Deployment/echo', '1/1', 'Running', false],
  ])
  assert.equal(new Set(pods.map((p) => p.ip)).size, 5)
  const objects = await m.objects()
  const echo = objects.find((o) => o.kind === 'Service' && o.metadata.namespace === 'foo')
  assert.ok(echo)
  assert.match((echo.spec as { clusterIP: string }).clusterIP, /^10\.96\./)
  assert.ok(echo.origin.file?.endsWith('mesh.yaml'))
})

test('names resolve as in a cluster', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const ip = async (from: string, name: string): Promise<string> => (await m.exec(from, ['getent', 'ahostsv4', name])).stdout.split(' ')[0] ?? ''
  const virtual = await ip('client.legacy', 'echo.foo.svc.cluster.local')
  assert.match(virtual, /^10\.96\./)
  for (const name of ['echo.foo', 'echo.foo.svc']) assert.equal(await ip('client.legacy', name), virtual)
  assert.equal(await ip('client.foo', 'echo'), virtual)
  assert.notEqual(await ip('client.legacy', 'echo'), virtual)
  assert.equal(await ip('client.foo', 'outside.example.com'), '203.0.113.10')
  assert.equal((await m.exec('client.foo', ['getent', 'hosts', 'nowhere.example.com'])).code, 2)
  assert.match((await m.exec('client.foo', ['cat', '/etc/resolv.conf'])).stdout, /^search foo\.svc\.cluster\.local svc\.cluster\.local cluster\.local\nnameserver 10\.244\.0\.1\noptions ndots:5$/m)
})

test('mutual TLS where both have sidecars, plaintext elsewhere; a virtual address reaches every replica', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const both = answer(await get(m, 'client.foo', 'http://echo:8000/'))
  assert.match(both.xfcc ?? '', /^By=spiffe:\/\/cluster.local\/ns\/foo\/sa\/echo;.*URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/client$/)
  const [seenByClient] = (await m.handshakes('client.foo')) ?? []
  const [seenByServer] = (await m.handshakes('deploy/echo.foo')) ?? []
  assert.deepEqual([seenByClient?.side, seenByClient?.own, seenByClient?.peer, seenByClient?.tlsVersion], ['outbound', 'spiffe://cluster.local/ns/foo/sa/client', 'spiffe://cluster.local/ns/foo/sa/echo', 'TLSv1.3'])
  assert.deepEqual([seenByServer?.side, seenByServer?.own, seenByServer?.peer, seenByServer?.peerCertificateEnds], ['inbound', seenByClient?.peer, seenByClient?.own, seenByClient?.ownCertificateEnds])
  assert.deepEqual(await m.handshakes('client.legacy'), [])
  assert.equal(answer(await get(m, 'client.legacy', 'http://echo.foo:8000/')).xfcc, null)
  const seen = new Set<string>()
  await until(async () => seen.add(answer(await get(m, 'client.legacy', 'http://echo:8000/')).me).size === 2)
  const others = new Set<string>()
  await until(async () => others.add(answer(await get(m, 'client.foo', 'http://echo.legacy:8000/')).me).size === 2)
  assert.equal((await get(m, 'client.foo', 'http://outside.example.com/')).code, 0)
})

test('apply and delete take effect before they return; faults name file, line and field and change nothing', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const applied = await m.apply(strict, 'strict.yaml')
  assert.deepEqual(applied.changes.map((c) => [c.action, c.ref.kind, c.ref.name]), [['created', 'PeerAuthentication', 'default']])
  assert.equal((await get(m, 'client.legacy', 'http://echo.foo:8000/')).code, 52)
  assert.equal((await get(m, 'client.foo', 'http://echo.foo:8000/')).code, 0)
  const own = (await m.objects()).find((o) => o.kind === 'PeerAuthentication')
  assert.deepEqual([own?.origin.file, own?.origin.locate?.('spec.mtls.mode')?.line], ['strict.yaml', 8])
  const faulty = await m.apply(strict.replace('STRICT', 'DISABLED'), 'strict.yaml')
  assert.deepEqual(faulty.changes, [])
  assert.match(`${faulty.problems[0]?.ref.file}:${faulty.problems[0]?.ref.line} ${faulty.problems[0]?.ref.path} ${faulty.problems[0]?.help}`, /^strict\.yaml:8 spec\.mtls\.mode .*DISABLE/)
  assert.equal((await get(m, 'client.legacy', 'http://echo.foo:8000/')).code, 52, 'the last good one stays')
  assert.equal((await m.apply(strict, 'strict.yaml')).changes[0]?.action, 'unchanged')
  assert.equal((await m.delete(strict)).changes[0]?.action, 'deleted')
  assert.equal((await get(m, 'client.legacy', 'http://echo.foo:8000/')).code, 0)
  const stays = await m.delete('apiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: foo}\n')
  assert.match(stays.problems[0]?.message ?? '', /stands in .*mesh\.yaml/)
})

test('who may call: what explain says is what callers get', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const access = (spec: string): string => `{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: access, namespace: foo}, spec: ${spec}}\n`
  const status = async (from: string, path: string): Promise<number> => Number((await m.exec(from, ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '5', '--path-as-is', '--request-target', path, 'http://echo.foo:8000/'])).stdout)
  const denied: string[] = []
  for (const spec of ['{}', '{rules: [{from: [{source: {principals: ["cluster.local/ns/foo/*"]}}]}]}', '{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]}', '{action: DENY, rules: [{from: [{source: {notPrincipals: ["*"]}}]}]}', '{action: CUSTOM, provider: {name: p}, rules: [{}]}']) {
    await m.apply(access(spec), 'access.yaml')
    const objects = await m.objects()
    for (const from of ['client.foo', 'client.legacy']) {
      for (const path of ['/', '/x/../admin']) {
        const said = explain(buildMesh(objects), { from, to: `http://echo.foo:8000${path}` })
        assert.equal(await status(from, path), said.server?.authorization?.value === 'deny' ? 403 : 200, `${spec} ${from} ${path}`)
        if (said.outcome === 'blocked') denied.push(`${from} ${path}`)
      }
    }
  }
  const all = ['client.foo /', 'client.foo /x/../admin', 'client.legacy /', 'client.legacy /x/../admin']
  assert.deepEqual(denied, [...all, ...all.slice(2), 'client.foo /x/../admin', 'client.legacy /x/../admin', ...all.slice(2), ...all])
  assert.equal((await m.delete(access('{}'))).changes[0]?.action, 'deleted')
  assert.equal(await status('client.foo', '/'), 200)
  assert.equal(await status('client.foo', '/admin#x'), 400)
})

test('exec: output, input, exit codes, no capabilities, and a readable failure', async (t) => {
  const m = up(t)
  if (m === undefined) return
  assert.deepEqual(await m.exec('client.foo', ['sh', '-c', 'cat; echo err >&2; exit 3'], { input: 'in' }), { code: 3, stdout: 'in', stderr: 'err\n' })
  assert.equal((await m.exec('client.foo', ['sh', '-c', 'kill -9 $$'])).code, 137)
  assert.equal((await m.exec('client.foo', ['sleep', '100'], { timeoutMs: 100 })).code, 137)
  assert.equal((await m.exec('client.foo', ['no-such-program'])).code, 127)
  assert.match((await m.exec('client.foo', ['grep', 'CapBnd', '/proc/self/status'])).stdout, /0000000000000000/)
  assert.equal((await m.exec('client.foo', ['cat', '/var/run/secrets/tokens/istio-token'])).code, 1, 'the token is the sidecar’s alone')
  await assert.rejects(m.exec('clent.foo', ['true']), /did you mean client\.foo\?/)
  await assert.rejects(m.exec('client.foo', ['true'], { container: 'x' }), /it has client, istio-proxy/)
  const large = await m.exec('client.foo', ['sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" x'])
  assert.equal(large.stdout.length, 3_000_000)
})

test('a pod that opts out is 1/1, a Job finishes though it has a sidecar, an unknown image says what to do', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const pod = (name: string, more: string, image = 'example/client:1'): string => `apiVersion: v1\nkind: Pod\nmetadata:\n  name: ${name}\n  namespace: foo\n${more}spec:\n  containers:\n  - {name: c, image: "${image}"}\n---\n`
  const job = 'apiVersion: batch/v1\nkind: Job\nmetadata: {name: once, namespace: foo}\nspec:\n  template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - {name: once, image: any, command: [curl, -sS, "http://echo:8000/"]}\n'
  const text = pod('by-label', '  labels: {sidecar.istio.io/inject: "false"}\n') + pod('by-annotation', '  annotations: {sidecar.istio.io/inject: "false"}\n') + pod('unknown', '', 'example/clint:2') + job
  await m.apply(text, 'pods.yaml')
  const of = async (name: string) => (await m.ps()).find((p) => p.name.startsWith(name))
  await until(async () => (await of('by-label'))?.ready === true && (await of('by-annotation'))?.ready === true && (await of('once'))?.status === 'Completed')
  for (const name of ['by-label', 'by-annotation']) assert.equal((await of(name))?.containers.length, 1)
  assert.match(await m.logs('job/once.foo'), /URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/default/)
  assert.equal((await of('unknown'))?.status, 'ErrImagePull')
  assert.match((await of('unknown'))?.containers[0]?.detail ?? '', /maps no command to the image "example\/clint:2"/)
  await assert.rejects(m.waitReady(100), /pod foo\/unknown is ErrImagePull .*kith\.yaml/s)
  await m.delete(text)
  await until(async () => (await m.ps()).length === 5)
})

test('a container that ends is started again and counted; its sidecar stays', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const echo = async () => (await m.ps()).find((p) => p.owner === 'Deployment/echo' && p.namespace === 'foo')
  await m.exec('deploy/echo.foo', ['pkill', '-KILL', '-f', 'echo.ts'])
  await until(async () => (await echo())?.restarts === 1 && (await echo())?.ready === true)
  assert.deepEqual((await echo())?.containers.map((c) => [c.name, c.restarts]), [['echo', 1], ['istio-proxy', 0]])
  assert.equal((await get(m, 'client.foo', 'http://echo:8000/')).code, 0)
})

test('a file that is saved takes effect: replicas come and go', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const file = join(dir, 'mesh.yaml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, text.replace('replicas: 2', 'replicas: 3'))
  await until(async () => (await m.ps()).filter((p) => p.namespace === 'legacy' && p.ready).length === 4)
  writeFileSync(file, text)
  await until(async () => (await m.ps()).filter((p) => p.namespace === 'legacy').length === 3)
  assert.ok(events.some((e) => e.event === 'ready'))
})

test('proxy-status, proxy-config and analyze answer about the mesh on this machine', (t) => {
  const m = up(t)
  if (m === undefined) return
  const kith = (...args: string[]): string => {
    const { status, stdout, stderr } = spawnSync('bin/kith', args, { encoding: 'utf8', timeout: 30_000 })
    assert.equal(status, 0, stderr)
    return stdout + stderr
  }
  const local = `--local=${dir}`
  assert.match(kith('proxy-status', local, '-v', 'max'), /^NAME +CLUSTER .*\nclient\.foo +Kubernetes +local +\S+ +SYNCED/)
  assert.match(kith('proxy-config', 'listener', 'client.foo', local), /15001 +Addr: \*:15001/)
  assert.match(kith('pc', 'endpoint', 'deploy/echo', '-n', 'foo', local), /HEALTHY/)
  const said = kith('analyze', local)
  assert.match(said, /IST0102.*Namespace legacy/)
  assert.doesNotMatch(said, /KITH0109/, 'a pod that runs and the file that it comes from are one object')
  const none = spawnSync('bin/kith', ['proxy-config', 'all', 'client.legacy', local], { encoding: 'utf8' })
  assert.deepEqual([none.status, /pod client has no sidecar .*NO_SIDECAR/.test(none.stderr)], [1, true], none.stderr)
})

test('a file that is truncated and then written makes no pod anew, and what it says holds', async (t) => {
  const m = up(t)
  if (m === undefined) return
  const made = async (): Promise<string[]> => (await m.ps()).map((p) => `${p.namespace}/${p.name} ${p.createdAt}`).sort()
  const before = await made()
  const file = join(dir, 'mesh.yaml')
  const text = readFileSync(file, 'utf8')
  const half = text.slice(0, text.indexOf('kind: Deployment'))
  for (const part of ['', half]) {
    writeFileSync(file, part)
    await new Promise((written) => setTimeout(written, 40))
  }
  writeFileSync(file, `${text}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: saved, namespace: foo}\nspec: {selector: {app: echo}, ports: [{name: http, port: 8000, targetPort: 80}]}\n`)
  await until(async () => (await m.exec('client.foo', ['getent', 'hosts', 'saved'])).code === 0)
  assert.deepEqual(await made(), before)
  writeFileSync(file, text)
  await until(async () => (await m.exec('client.foo', ['getent', 'hosts', 'saved'])).code !== 0)
})
