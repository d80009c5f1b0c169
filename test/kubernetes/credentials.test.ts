// Against a small API server: who gets a Secret's key, who its roots, what is watched, and how a change arrives.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Collection } from '#lib/kubernetes/types.ts'
import { ApiServer, clientOf } from './api-server.ts'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { clusterCredentials } from '../../src/control-plane/server/cluster/cluster-credentials.ts'

const base64 = (text: string): string => Buffer.from(text).toString('base64')

test('a key for whoever may list Secrets there, roots for every proxy of the namespace, nothing of another one', async (t) => {
  const api = await ApiServer.start()
  t.after(() => api.down())
  const secrets = '/api/v1/namespaces/foo/secrets'
  const put = (key: string): unknown => api.put(secrets, { kind: 'Secret', metadata: { name: 'files' }, data: { 'tls.crt': base64('CERT'), 'tls.key': base64(key), 'ca.crt': base64('ROOTS') } })
  put('KEY-1')
  api.put('/api/v1/namespaces/bar/secrets', { kind: 'Secret', metadata: { name: 'other' }, data: { 'tls.crt': base64('CERT'), 'tls.key': base64('KEY') } })
  const lines: Line[] = []
  let changes = 0
  let nowMs = Date.now()
  api.allowed = false
  const whole = clientOf(api)
  const asked: Collection[] = []
  const client: Parameters<typeof clusterCredentials>[0]['client'] = {
    create: whole.create.bind(whole), watch: whole.watch.bind(whole),
    pages(of, ...rest) {
      asked.push(of)
      return whole.pages(of, ...rest)
    },
  }
  const credentials = clusterCredentials({ client, log: remember(lines), now: () => nowMs, onChange: () => void changes++ })
  t.after(() => credentials.close())
  const stream = {}
  const names = ['kubernetes://files', 'kubernetes://files-cacert', 'kubernetes://bar/other', 'default']
  const held = (asker = { namespace: 'foo', serviceAccount: 'sleep' }): string[] => [...credentials.of(stream, asker, names)].map(([name, r]) => `${name} ${r.version}`)
  await eventually('the roots', held, (h) => h.length === 1 && h[0]?.startsWith('kubernetes://files-cacert ') === true)
  await eventually('refused', () => lines.filter((l) => /may not list secrets/.test(l.message)).length, (n) => n === 1)
  // A right that is given counts once the refusal has grown old.
  api.allowed = true
  assert.equal(held().length, 1)
  nowMs += 61_000
  const [, key] = await eventually('the key', held, (h) => h.length === 2).then((h) => h.sort().reverse())
  const before = changes
  put('KEY-2')
  await eventually('another key', held, (h) => h.length === 2 && !h.includes(key as string))
  assert.ok(changes > before, 'whoever is connected hears of it')
  assert.equal(held({ namespace: 'elsewhere', serviceAccount: 'sleep' }).length, 0)
  assert.deepEqual([...new Set(asked.map((of) => `${of.namespace}/${of.fieldSelector}`))].sort(), ['elsewhere', 'foo'].flatMap((ns) => [`${ns}/metadata.name=files`, `${ns}/metadata.name=files-cacert`]), 'by name alone')
  assert.ok(!api.requests.some((r) => r.includes('/namespaces/bar/')), 'nobody looks into another namespace')
  assert.doesNotMatch(JSON.stringify(lines), /KEY-|CERT|ROOTS/)
  credentials.gone(stream)
})

test('a right that was refused is asked for again by itself, as long as somebody wants it', async (t) => {
  const api = await ApiServer.start()
  t.after(() => api.down())
  api.put('/api/v1/namespaces/foo/secrets', { kind: 'Secret', metadata: { name: 'files' }, data: { 'tls.crt': base64('CERT'), 'tls.key': base64('KEY') } })
  api.allowed = false
  const lines: Line[] = []
  const stream = {}
  let held = 0
  const reviews = (): number => api.requests.filter((r) => r.includes('subjectaccessreviews')).length
  const take = (): void => void (held = credentials.of(stream, { namespace: 'foo', serviceAccount: 'sleep' }, ['kubernetes://files']).size)
  // As the control plane does: whoever is connected is looked at again when something changes, and only then.
  const credentials = clusterCredentials({ client: clientOf(api), log: remember(lines), now: Date.now, refusedMs: 150, onChange: take })
  t.after(() => credentials.close())
  take()
  await eventually('refused twice', reviews, (n) => n >= 2)
  assert.equal(lines.filter((l) => /may not list secrets/.test(l.message)).length, 1, 'said once')
  api.allowed = true
  await eventually('the key', () => held, (n) => n === 1)
  api.allowed = false
  credentials.gone(stream)
  const asked = reviews()
  await new Promise((resolve) => setTimeout(resolve, 400))
  assert.equal(reviews(), asked, 'nobody wants it any more')
})
