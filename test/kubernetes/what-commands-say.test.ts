// What version, tag and precheck say, against an API server on loopback.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, beforeEach, test } from 'node:test'
import { ApiServer } from './api-server.ts'

const folder = mkdtempSync(join(tmpdir(), 'kith-said-'))
const kubeconfig = join(folder, 'kubeconfig')
let api: ApiServer

beforeEach(async () => {
  await api?.down()
  api = await ApiServer.start()
  writeFileSync(kubeconfig, api.kubeconfig)
})
after(async () => {
  await api.down()
  rmSync(folder, { recursive: true, force: true })
})

/** Not spawnSync: the API server lives in this process. */
function kith(args: readonly string[]): Promise<{ code: number | null; out: string; err: string }> {
  return new Promise((resolve) => {
    const program = join(import.meta.dirname, '../../src/cli/main.ts')
    const env = { ...process.env, KUBECONFIG: kubeconfig, HOME: folder }
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, ...args], { cwd: folder, env })
    let [out, err] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (t: string) => (out += t))
    child.stderr.setEncoding('utf8').on('data', (t: string) => (err += t))
    child.on('close', (code) => resolve({ code, out, err }))
  })
}

test('version prints each line once, however many revisions there are of one version', async () => {
  const pods = '/api/v1/namespaces/istio-system/pods'
  for (const revision of ['default', 'canary']) {
    const labels = { app: 'istiod', 'istio.io/rev': revision, 'app.kubernetes.io/version': '0.1.0' }
    api.put(pods, { metadata: { name: `istiod-${revision}`, namespace: 'istio-system', labels }, status: { phase: 'Running' } })
  }
  const short = await kith(['version'])
  assert.deepEqual(short.out.split('\n').filter((l) => l.startsWith('control plane')), ['control plane version: 0.1.0'])
  const long = await kith(['version', '--short=false'])
  assert.equal(long.out.split('\n').filter((l) => l.startsWith('control plane')).length, 2)
  const lines = `${short.out}${short.err}`.trim().split('\n')
  assert.equal(new Set(lines).size, lines.length, lines.join('\n'))
})

test('tag set says created, and updated where the tag was there', async () => {
  for (const revision of ['stable', 'canary']) {
    api.put('/api/v1/namespaces/istio-system/services', { metadata: { name: `istiod-${revision}`, namespace: 'istio-system', labels: { app: 'istiod', 'istio.io/rev': revision } } })
  }
  const set = (revision: string, ...more: string[]) => kith(['tag', 'set', 'prod', '--revision', revision, ...more])
  assert.match((await set('stable')).out, /^Revision tag "prod" created, referencing control plane revision "stable"/)
  const refused = await set('canary')
  assert.deepEqual([refused.code, /TAG_EXISTS/.test(refused.err)], [1, true], refused.err)
  assert.match((await set('canary', '--overwrite')).out, /^Revision tag "prod" updated, referencing control plane revision "canary"/)
})

test('precheck answers about Kith, and its exit code agrees with what it says', async () => {
  const good = await kith(['precheck'])
  assert.deepEqual([good.code, good.err], [0, ''])
  assert.match(good.out, /^✔ Kith can be installed or upgraded in this cluster\.\n/m)
  api.put('/api/v1/namespaces', { metadata: { name: 'shop', labels: { 'istio-injection': 'enabled', 'pod-security.kubernetes.io/enforce': 'baseline' } } })
  const warned = await kith(['precheck'])
  assert.deepEqual([warned.code, warned.err], [0, ''])
  assert.match(warned.out, /^Warning \[KITH0045\].*\n✔ Kith can be installed or upgraded in this cluster \(1 warning above\)\.\n/s)
  api.allowed = false
  const bad = await kith(['precheck'])
  api.allowed = true
  assert.equal(bad.code, 1)
  assert.match(bad.err, /^Error: Kith can't be installed or upgraded in this cluster as it is: \d+ errors above\.\n$/)
  for (const { out, err } of [good, warned, bad]) assert.doesNotMatch(out + err, /Istio (is|may)|safe/)
})
