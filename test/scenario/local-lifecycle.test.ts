// However a mesh ends, nothing of it is left: no process, namespace, mount, link or file.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { hasNamespaces } from './fixtures/lane.ts'
import { openLane, until } from './fixtures/mesh-lane.ts'

const whoAmI = ['--', join(process.cwd(), 'bin/kith'), 'exec', 'client.foo', '--', 'curl', '-sS', 'http://echo.foo:8000/']

test('up -- COMMAND: runs it when all is ready, passes its exit code on, leaves nothing', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const first = await lane.kith(['up', lane.dir, ...whoAmI])
  assert.equal(first.code, 0, first.stderr)
  assert.match((JSON.parse(first.stdout) as { xfcc: string }).xfcc, /By=spiffe:\/\/cluster.local\/ns\/foo\/sa\/echo;.*URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/client/)
  assert.deepEqual(lane.leftovers(), [])
  assert.equal((await lane.kith(['up', lane.dir, '--', 'sh', '-c', 'exit 7'])).code, 7)
  assert.deepEqual(lane.leftovers(), [])
})

test('Ctrl-C at any moment', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  for (const moment of [/^$/, /mode namespaced/, /control plane ready/, /ready: 5 pods/]) {
    const up = lane.start(['up', lane.dir])
    await until(() => moment.test(up.output()) || moment.source === '^$')
    up.child.kill('SIGINT')
    await up.ended
    await until(() => lane.leftovers().length === 0, 20_000).catch(() => assert.deepEqual(lane.leftovers(), [], `after ${moment.source}`))
  }
})

test('whoever reads what the mesh prints goes away (kith up | head)', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const up = lane.start(['up', lane.dir])
  await until(() => /mode namespaced/.test(up.output()))
  up.child.stdout?.destroy()
  await up.ended
  assert.doesNotMatch(up.output(), /EPIPE/)
  assert.deepEqual(lane.leftovers(), [])
})

test('SIGKILL of the command at any moment', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  for (const moment of [/mode namespaced/, /ready: 5 pods/]) {
    const up = lane.start(['up', lane.dir])
    await until(() => moment.test(up.output()))
    up.child.kill('SIGKILL')
    await until(() => lane.leftovers().length === 0, 20_000).catch(() => assert.deepEqual(lane.leftovers(), [], `after ${moment.source}`))
  }
  assert.equal((await lane.kith(['up', lane.dir, '--', 'true'])).code, 0, 'the next one comes up')
})

test('SIGKILL of everything at once: kith down clears up', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const up = lane.start(['up', lane.dir])
  await until(() => /control plane ready/.test(up.output()))
  const [state] = readdirSync(join(lane.runtime, 'kith'))
  const sandbox = spawnSync('pgrep', ['-P', String(up.child.pid)], { encoding: 'utf8' }).stdout.trim().split('\n').map(Number)
  // Both are held still first: neither may live to see, and clear up after, the other's end.
  for (const signal of ['SIGSTOP', 'SIGKILL'] as const) for (const pid of [...sandbox, up.child.pid as number]) process.kill(pid, signal)
  await up.ended
  await until(() => !lane.leftovers().some((l) => l.startsWith('process')))
  assert.ok(existsSync(join(lane.runtime, 'kith', state as string, 'lock')))
  const down = await lane.kith(['down'])
  assert.match(down.stdout, /cleared up after a crash/)
  assert.deepEqual(lane.leftovers(), [])
})

test('what is saved while it runs, and who asks meanwhile: an image of kith.yaml holds at once, the rest is said, a refused file is told when it is well again', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const file = (name: string): string => join(lane.dir, name)
  const edit = (name: string, from: string, to: string): void => writeFileSync(file(name), readFileSync(file(name), 'utf8').replace(from, to))
  edit('mesh.yaml', 'apiVersion', '{apiVersion: v1, kind: Pod, metadata: {name: late, namespace: legacy}, spec: {containers: [{name: late, image: example/late}]}}\n---\napiVersion')
  const up = lane.start(['up', lane.dir])
  await until(() => /late 0\/1 ErrImagePull: kith\.yaml maps no command/.test(up.output()))
  const logs = await lane.kith(['logs', 'late.legacy'])
  assert.deepEqual([logs.code, /has not run yet: ErrImagePull, kith\.yaml maps/.test(logs.stderr)], [1, true], logs.stderr)
  // Why, as users wrote it: of a pod that runs one sees only that there is none.
  assert.match((await lane.kith(['check-inject', 'late', '-n', 'legacy'])).stdout, /^legacy\/late +✘ +neither the namespace nor the pod asks for a sidecar$/m)
  edit('kith.yaml', '  images:', '  proxy: kith\n  images:\n    example/late: {command: [sleep, infinity]}')
  await until(() => /late 1\/1 Running/.test(up.output()) && /kith\.yaml: spec\.proxy: this has changed, and is read when the mesh starts/.test(up.output()))
  const yes = lane.start(['exec', 'late.legacy', '--', 'yes'])
  yes.child.stdout?.once('data', () => yes.child.stdout?.destroy())
  const { code, stderr } = await yes.ended
  assert.deepEqual([code, stderr], [141, ''])
  edit('mesh.yaml', 'kind: Service\n', 'kind: [Service\n')
  await until(() => /refused, the last good one stays/.test(up.output()))
  edit('mesh.yaml', 'kind: [Service\n', 'kind: Service\n')
  await until(() => /mesh\.yaml: read again, nothing is refused any more/.test(up.output()))
  edit('mesh.yaml', 'name: late, namespace', 'name: later, namespace')
  await until(() => /legacy\/late 1\/1 Terminating/.test(up.output()))
  up.child.kill('SIGINT')
  await up.ended
  assert.match(up.output(), /going down: Ctrl-C\n$/)
})

test('two meshes at once; a second one of the same folder says where the first is', async (t) => {
  if (!hasNamespaces(t)) return
  const lane = openLane(t)
  const other = openLane(t)
  const up = lane.start(['up', lane.dir])
  const too = other.start(['up', other.dir])
  await until(() => /ready: 5 pods/.test(up.output()) && /ready: 5 pods/.test(too.output()))
  const again = await lane.kith(['up', lane.dir])
  assert.equal(again.code, 1)
  assert.match(again.stderr, new RegExp(`runs already \\(process ${up.child.pid}, state in ${lane.runtime}/kith/`))
  for (const l of [lane, other]) assert.equal((await l.kith(['exec', 'client.foo', '--', 'curl', '-sS', '-o', '/dev/null', '-w', '%{http_code}', 'http://echo.foo:8000/'])).stdout, '200')
  assert.equal((await other.kith(['down'])).code, 0)
  await too.ended
  assert.deepEqual(other.leftovers(), [])
  assert.equal((await lane.kith(['ps', '-n', 'legacy'])).stdout.split('\n').length, 5, 'the first goes on')
  up.child.kill('SIGTERM')
  await up.ended
  assert.deepEqual(lane.leftovers(), [])
})

test('as an ordinary user, without root', async (t) => {
  if (!hasNamespaces(t)) return
  if (process.getuid?.() !== 0) return t.skip('the other tests ran as an ordinary user already')
  if ((statSync('bin/kith').mode & 0o005) !== 0o005 || spawnSync('setpriv', ['--reuid=1000', '--clear-groups', 'test', '-r', 'package.json']).status !== 0) return t.skip('skipped: needs a checkout that other users can read')
  if (spawnSync('setpriv', ['--reuid=1000', '--clear-groups', 'unshare', '-Urn', 'true']).status !== 0) return t.skip('skipped: needs user namespaces')
  const lane = openLane(t, 1000)
  const run = await lane.kith(['up', lane.dir, ...whoAmI])
  assert.equal(run.code, 0, run.stderr)
  assert.match(run.stdout, /URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/client/)
  assert.deepEqual(lane.leftovers(), [])
})

test('explicit mode: the same calls over HTTP_PROXY, and nothing left', async (t) => {
  const lane = openLane(t)
  const run = await lane.kith(['up', lane.dir, '--mode', 'explicit', ...whoAmI])
  assert.equal(run.code, 0, run.stderr)
  assert.match(run.stdout, /URI=spiffe:\/\/cluster.local\/ns\/foo\/sa\/client/)
  assert.deepEqual(lane.leftovers(), [])
})
