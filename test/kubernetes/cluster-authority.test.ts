// Where a cluster's authority comes from, and in which order its changes are taken.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { BasicConstraintsExtension, PemConverter, X509Certificate, X509CertificateGenerator, X509CrlGenerator } from '@peculiar/x509'
import { silentLogger } from '#lib/log.ts'
import { newRootFiles, type Authority } from '#ca'
import { clusterAuthority } from '../../src/control-plane/server/cluster/cluster-authority.ts'
import { eventually } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const secrets = '/api/v1/namespaces/istio-system/secrets'
const dataOf = (files: Readonly<Record<string, string>>): Record<string, string> => Object.fromEntries(Object.entries(files).map(([name, pem]) => [name, Buffer.from(pem).toString('base64')]))

/** A key that takes long to be read. */
async function largeRoot(): Promise<Record<string, string>> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 })
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const keys = {
    privateKey: await crypto.subtle.importKey('pkcs8', privateKey.export({ type: 'pkcs8', format: 'der' }), algorithm, false, ['sign']),
    publicKey: await crypto.subtle.importKey('spki', publicKey.export({ type: 'spki', format: 'der' }), algorithm, true, ['verify']),
  }
  const root = await X509CertificateGenerator.createSelfSigned({ serialNumber: '01', name: 'O=large', notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 86_400_000), signingAlgorithm: algorithm, keys, extensions: [new BasicConstraintsExtension(true, undefined, true)] })
  const pem = PemConverter.encode(root.rawData, 'CERTIFICATE')
  return { 'ca-cert.pem': pem, 'ca-key.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 'root-cert.pem': pem }
}

async function started(t: TestContext, goneAfterMs?: number, before: (api: ApiServer) => void = () => undefined): Promise<{ api: ApiServer; taken: Authority[] }> {
  const api = await ApiServer.start()
  before(api)
  const client = clientOf(api)
  const taken: Authority[] = []
  const source = await clusterAuthority({ client, namespace: 'istio-system', trustDomain: 'cluster.local', now: Date.now, log: silentLogger, onChange: (a) => taken.push(a), againMs: 200, ...(goneAfterMs === undefined ? {} : { goneAfterMs }) })
  t.after(async () => {
    source.close()
    client.close()
    await api.down()
  })
  return { api, taken }
}

test('two changes in haste are taken in their order: what was plugged in counts, though our own secret changes while it is read', async (t) => {
  const plugged = await largeRoot()
  for (let round = 1; round <= 3; round++) {
    const { api, taken } = await started(t)
    const [first, second] = await Promise.all([newRootFiles('cluster.local', Date.now()), newRootFiles('cluster.local', Date.now())])
    await eventually('the watches', () => api.watching('secrets'), (n) => n === 2)
    api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data: dataOf(plugged) })
    api.put(secrets, { kind: 'Secret', metadata: { name: 'istio-ca-secret' }, data: dataOf(first) })
    await eventually('the plugged-in one', () => taken.some((a) => a.roots.trim() === plugged['root-cert.pem']?.trim()), (seen) => seen)
    // Later ones of both in the same breath: the last one of what is plugged in.
    api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data: dataOf(second) })
    api.put(secrets, { kind: 'Secret', metadata: { name: 'istio-ca-secret' }, data: dataOf(plugged) })
    await eventually('the later one', () => taken.some((a) => a.roots === second['root-cert.pem']), (seen) => seen)
    assert.equal(taken.at(-1)?.roots, second['root-cert.pem'], `round ${round}: ${taken.map((a) => a.certificate.subject).join(', ')}`)
    assert.ok(!taken.some((a) => a.roots === first['root-cert.pem']) || taken.findIndex((a) => a.roots === first['root-cert.pem']) < taken.findIndex((a) => a.certificate.subject === 'O=large'), `round ${round}: our own came after what is plugged in`)
  }
})

test('lists of what was revoked come with the Secret, and change without another authority', async (t) => {
  const { api, taken } = await started(t)
  const files = await newRootFiles('cluster.local', Date.now())
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(files['ca-key.pem']), algorithm, false, ['sign'])
  const listOf = async (serialNumber: string): Promise<string> => {
    const list = await X509CrlGenerator.create({ issuer: new X509Certificate(files['ca-cert.pem']).subject, thisUpdate: new Date(), signingAlgorithm: algorithm, signingKey: key, entries: [{ serialNumber }] })
    return list.toString('pem').replaceAll(/(BEGIN|END) CRL/g, '$1 X509 CRL') + '\n'
  }
  const [first, second] = [await listOf('0a'), await listOf('0b')]
  const plugIn = (lists?: string): void => void api.put(secrets, { kind: 'Secret', metadata: { name: 'cacerts' }, data: dataOf({ ...files, ...(lists === undefined ? {} : { 'ca-crl.pem': lists }) }) })
  await eventually('the watches', () => api.watching('secrets'), (n) => n === 2)
  plugIn(first)
  await eventually('the authority', () => taken.at(-1)?.revocations, (lists) => lists === first)
  plugIn(second)
  await eventually('another list', () => taken, (all) => all.length === 2)
  plugIn('-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----')
  plugIn()
  await eventually('none', () => taken, (all) => all.length === 3)
  assert.deepEqual([taken.map((a) => a.revocations), new Set(taken.map((a) => a.certificate.serialNumber)).size], [[first, second, ''], 1])
})

test('what was plugged in is removed: our own root takes over without a restart; one that comes back in time goes on', async (t) => {
  const files = await newRootFiles('cluster.local', Date.now())
  const plugIn = (api: ApiServer): void => void api.put(secrets, { metadata: { name: 'cacerts' }, data: dataOf(files) })
  const { api, taken } = await started(t, 300, plugIn)
  await eventually('the watches', () => api.watching('secrets'), (n) => n === 2)
  api.remove(secrets, 'cacerts')
  await eventually('our own root', () => taken.length, (n) => n === 1)
  const own = api.read(secrets, 'istio-ca-secret')?.['data'] as Record<string, string> | undefined
  assert.equal(taken[0]?.roots, Buffer.from(own?.['root-cert.pem'] ?? '', 'base64').toString())
  plugIn(api)
  await eventually('plugged in again', () => taken.at(-1)?.roots, (roots) => roots === files['root-cert.pem'])
  const patient = await started(t, 60_000, plugIn)
  await eventually('the watches', () => patient.api.watching('secrets'), (n) => n === 2)
  const other = await newRootFiles('cluster.local', Date.now())
  patient.api.remove(secrets, 'cacerts')
  patient.api.put(secrets, { metadata: { name: 'cacerts' }, data: dataOf(other) })
  await eventually('replaced', () => patient.taken.length, (n) => n === 1)
  assert.equal(patient.taken[0]?.roots, other['root-cert.pem'])
  assert.equal(patient.api.read(secrets, 'istio-ca-secret'), undefined)
})

test('one that begins in a moment is refused, and taken up then', async (t) => {
  const { api, taken } = await started(t)
  // A root of ours begins two minutes before it is made.
  const early = await newRootFiles('cluster.local', Date.now() + 120_000 + 3000)
  const begins = Date.parse(new X509Certificate(early['ca-cert.pem']).notBefore.toISOString())
  await eventually('the watches', () => api.watching('secrets'), (n) => n === 2)
  api.put(secrets, { metadata: { name: 'cacerts' }, data: dataOf(early) })
  await eventually('it has begun', () => taken.at(-1)?.roots, (roots) => roots === early['root-cert.pem'], 10_000)
  assert.ok(Date.now() >= begins)
})
