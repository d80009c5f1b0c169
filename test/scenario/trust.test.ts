// Certificates and configuration from end to end: who is let in, what renews by itself, what a lost control plane leaves standing.
import 'reflect-metadata'
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js'
import { BasicConstraintsExtension, KeyUsageFlags, KeyUsagesExtension, Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension, SubjectKeyIdentifierExtension, X509CertificateGenerator, X509CrlGenerator } from '@peculiar/x509'
import assert from 'node:assert/strict'
import { KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { connect } from 'node:tls'
import { createCertificateMethod as caMethod, deltaMethod, typeUrls, type DeltaResponse } from '#xds'
import { freePort } from '../fixtures/ports.ts'
import { eventually, get, TrustMesh, type Answer } from './fixtures/trust-mesh.ts'

const serverName = 'istiod.istio-system.svc'
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

interface Proof {
  readonly chain: string
  readonly key: string
}

/** A key, a CSR that asks for `name`, and what the CA makes of it. */
async function askCa(mesh: TrustMesh, token: string, name: string): Promise<Proof & { readonly certificate: X509Certificate; readonly roots: string; readonly count: number }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const csr = (await Pkcs10CertificateRequestGenerator.create({ name: 'CN=admin', keys, signingAlgorithm: algorithm, extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: name }])] })).toString('pem')
  const client = new Client(mesh.address, credentials.createSsl(readFileSync(mesh.rootPath)), { 'grpc.ssl_target_name_override': serverName })
  const metadata = new Metadata()
  if (token !== '') metadata.set('authorization', `Bearer ${token}`)
  try {
    const pems = await new Promise<readonly string[]>((resolve, reject) => {
      client.makeUnaryRequest(caMethod.path, caMethod.requestSerialize, caMethod.responseDeserialize, { csr, validitySeconds: 0 }, metadata, (error, value) => (error === null ? resolve(value ?? []) : reject(error)))
    })
    return { chain: pems.slice(0, -1).join(''), key: pem(keys.privateKey), certificate: new X509Certificate(pems[0] as string), roots: pems.at(-1) ?? '', count: pems.length }
  } finally {
    client.close()
  }
}

const pem = (key: CryptoKey): string => KeyObject.from(key as never).export({ type: 'pkcs8', format: 'pem' }) as string

/** Opens a delta stream as `nodeId`; the first response, or the status that ended it. */
function askDiscovery(mesh: TrustMesh, nodeId: string, proof: Proof | undefined): Promise<DeltaResponse | ServiceError> {
  const secure = proof === undefined ? credentials.createSsl(readFileSync(mesh.rootPath)) : credentials.createSsl(readFileSync(mesh.rootPath), Buffer.from(proof.key), Buffer.from(proof.chain))
  const client = new Client(mesh.address, secure, { 'grpc.ssl_target_name_override': serverName, 'grpc.use_local_subchannel_pool': 1 })
  const stream = client.makeBidiStreamRequest(deltaMethod.path, deltaMethod.requestSerialize, deltaMethod.responseDeserialize)
  stream.write({ typeUrl: typeUrls.listener, subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', node: { id: nodeId, cluster: '', metadata: {} } })
  return new Promise<DeltaResponse | ServiceError>((resolve) => {
    stream.on('data', resolve)
    stream.on('error', resolve)
  }).finally(() => {
    stream.on('error', () => undefined)
    stream.cancel()
    client.close()
  })
}

/** Serial number of what a sidecar's inbound port presents to a mesh client. */
function presentedSerial(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['istio'], rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber)
      socket.destroy()
    })
    socket.on('error', reject)
  })
}

/** A request over a new mTLS connection straight to a sidecar's inbound port: each end must trust the other's chain. The status line. */
function freshCall(port: number, proof: Proof & { readonly roots: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    // The name is a SPIFFE id, which is looked at by the scenario's other tests; here it is the chain.
    const socket = connect({ host: '127.0.0.1', port, ALPNProtocols: ['istio'], ca: proof.roots, cert: proof.chain, key: proof.key, checkServerIdentity: () => undefined }, () => {
      socket.write('GET /headers HTTP/1.1\r\nhost: httpbin.foo:8000\r\nconnection: close\r\n\r\n')
    })
    socket.once('data', (d) => {
      resolve(d.toString('latin1').split('\r\n', 1)[0] ?? '')
      socket.destroy()
    })
    socket.on('error', reject)
    socket.on('end', () => reject(new Error('closed without an answer')))
  })
}

const own = 'sidecar~10.244.0.4~sleep-1.foo~foo.svc.cluster.local'
const others = 'sidecar~10.244.0.5~httpbin-1.foo~foo.svc.cluster.local'

test('a certificate is for whoever the token proves, and for nobody without one', async (t) => {
  const mesh = await TrustMesh.create(60_000)
  t.after(() => mesh.close())
  await mesh.startPlane()
  const foreign = 'spiffe://cluster.local/ns/kube-system/sa/admin'
  const { certificate, count } = await askCa(mesh, await mesh.token('sleep'), foreign)
  assert.equal(certificate.subjectAltName, 'URI:spiffe://cluster.local/ns/foo/sa/sleep')
  assert.equal(certificate.subject, undefined)
  assert.ok(count >= 2)
  const cases: [string, string][] = [
    ['no token', ''],
    ['no JWT', 'abc'],
    ['another audience', await mesh.token('sleep', { audience: 'https://kubernetes.default.svc' })],
    ['expired', await mesh.token('sleep', { expires: '-10s' })],
    ['no service account', await mesh.token('sleep', { subject: 'admin' })],
    ['another account than the one it is bound to', await mesh.token('sleep', { subject: 'system:serviceaccount:foo:httpbin' })],
  ]
  for (const [what, token] of cases) await assert.rejects(askCa(mesh, token, foreign), { code: status.UNAUTHENTICATED, details: 'request authenticate failure' }, what)
})

test('configuration is for the pod that the certificate proves, and for no other', async (t) => {
  const mesh = await TrustMesh.create(60_000)
  t.after(() => mesh.close())
  await mesh.startPlane()
  const proof = await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')
  const mine = await askDiscovery(mesh, own, proof)
  assert.ok('resources' in mine && mine.resources.some((r) => r.name === 'virtualInbound'))
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const selfMade = await X509CertificateGenerator.createSelfSigned({ name: 'O=cluster.local', notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 60_000), keys, signingAlgorithm: algorithm, extensions: [new SubjectAlternativeNameExtension([{ type: 'url', value: 'spiffe://cluster.local/ns/foo/sa/sleep' }], true)] })
  const cases: [string, string, Proof | undefined, number, RegExp][] = [
    ['another’s node id', others, proof, status.PERMISSION_DENIED, /httpbin-1\.foo does not run as spiffe:\/\/cluster\.local\/ns\/foo\/sa\/sleep/],
    ['a pod that is not there', own.replace('sleep-1', 'sleep-2'), proof, status.UNAVAILABLE, /sleep-2\.foo is not known/],
    ['an odd node id', 'gateway', proof, status.INVALID_ARGUMENT, /node id/],
    ['no certificate', own, undefined, status.UNAUTHENTICATED, /certificate of the mesh/],
    ['a certificate that it made itself', own, { chain: selfMade.toString('pem'), key: pem(keys.privateKey as CryptoKey) }, status.UNAUTHENTICATED, /certificate of the mesh/],
  ]
  for (const [what, node, with_, code, details] of cases) {
    const answer = await askDiscovery(mesh, node, with_)
    assert.ok('code' in answer, what)
    assert.equal(answer.code, code, what)
    assert.match(answer.details, details, what)
  }
})

test('a stream ends with the certificate that opened it', async (t) => {
  const mesh = await TrustMesh.create(2000)
  t.after(() => mesh.close())
  await mesh.startPlane()
  const proof = await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')
  const client = new Client(mesh.address, credentials.createSsl(readFileSync(mesh.rootPath), Buffer.from(proof.key), Buffer.from(proof.chain)), { 'grpc.ssl_target_name_override': serverName })
  t.after(() => client.close())
  const stream = client.makeBidiStreamRequest(deltaMethod.path, deltaMethod.requestSerialize, deltaMethod.responseDeserialize)
  stream.write({ typeUrl: typeUrls.listener, subscribe: [], unsubscribe: [], initialVersions: {}, nonce: '', node: { id: own, cluster: '', metadata: {} } })
  stream.on('data', () => undefined)
  const error = await new Promise<ServiceError>((resolve) => stream.on('error', resolve as (e: Error) => void))
  assert.equal(error.code, status.UNAUTHENTICATED)
  assert.match(error.details, /certificate has ended/)
})

/** sleep and httpbin behind sidecars that are ready. `inbound`: where httpbin's takes connections; `outbound`: the HTTP proxy that sleep uses. */
async function callerAndServer(mesh: TrustMesh): Promise<{ readonly inbound: number; readonly outbound: number }> {
  const app = await mesh.startApplication()
  const [inbound, outbound] = [await freePort(), await freePort()]
  const server = await mesh.startSidecar('httpbin', '10.244.0.5', { dial: {}, inbound: [{ listen: `127.0.0.1:${inbound}`, originalDestination: '10.244.0.5:80', app: `127.0.0.1:${app}` }], hosts: {} })
  const client = await mesh.startSidecar('sleep', '10.244.0.4', { dial: { '10.244.0.5:80': `127.0.0.1:${inbound}` }, inbound: [], httpProxy: `127.0.0.1:${outbound}`, hosts: { 'httpbin.foo': '10.96.0.7' } })
  await eventually('both ready', () => server.ready() && client.ready(), (ready) => ready)
  return { inbound, outbound }
}

test('certificates renew under traffic, a saved policy arrives, a broken one does not, and a lost control plane takes nothing along', async (t) => {
  const mesh = await TrustMesh.create(3000)
  t.after(() => mesh.close())
  await mesh.startPlane()
  const { inbound, outbound } = await callerAndServer(mesh)

  const call = (): Promise<Answer> => get(outbound, 'http://httpbin.foo:8000/headers', 'httpbin.foo:8000')
  const xfcc = (a: Answer): string => (JSON.parse(a.body) as Record<string, string>)['x-forwarded-client-cert'] ?? ''
  /** Calls until new connections have met `times` further server certificates; each call succeeds, whichever certificates its pooled connection has outlived. */
  const renewed = async (times: number): Promise<void> => {
    const serials = new Set<string>()
    await eventually('renewals', async () => {
      const answer = await call()
      assert.equal(answer.status, 200)
      assert.match(xfcc(answer), /^By=spiffe:\/\/cluster\.local\/ns\/foo\/sa\/httpbin;.*URI=spiffe:\/\/cluster\.local\/ns\/foo\/sa\/sleep$/)
      serials.add(await presentedSerial(inbound))
      return serials.size
    }, (n) => n > times, 30_000)
  }
  await renewed(3)

  // PERMISSIVE lets plaintext in; the saved policy ends that.
  const plain = (): Promise<number> => get(inbound, '/headers', '10.244.0.5').then((a) => a.status, () => 0)
  assert.equal(await plain(), 200)
  const strict = (mode: string): string => `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: foo}\nspec:\n  mtls:\n    mode: ${mode}\n`
  mesh.write('policy.yaml', strict('STRICT'))
  await eventually('STRICT closes plaintext', plain, (s) => s === 0)
  assert.equal((await call()).status, 200)
  const pushed = mesh.lines.find((l) => l.message === 'change pushed' && JSON.stringify(l.fields['changed']).includes('PeerAuthentication foo/default'))
  // Certificates of three seconds: a proxy that was just reconnecting hears of the change by its new stream, and is not in this line.
  assert.ok(pushed !== undefined && Object.keys(pushed.fields['sent'] as object).every((proxy) => ['httpbin-1.foo', 'sleep-1.foo'].includes(proxy)))

  mesh.write('policy.yaml', strict('DISABLED'))
  const said = await eventually('the refusal is said', () => mesh.lines.find((l) => l.level === 'error' && l.fields['field'] === 'spec.mtls.mode'), (l) => l !== undefined)
  assert.deepEqual([said?.fields['line'], said?.fields['help'], said?.message], [6, 'did you mean DISABLE?', 'refused, the last good one stays'])
  assert.equal(await plain(), 0)
  assert.equal((await call()).status, 200)

  await mesh.stopPlane()
  assert.equal((await call()).status, 200)
  assert.equal(await plain(), 0)
  mesh.write('policy.yaml', strict('PERMISSIVE'))
  await mesh.startPlane()
  await eventually('the control plane is heard again', plain, (s) => s === 200, 15_000)
  await renewed(2)
  assert.equal(mesh.lines.filter((l) => l.message.startsWith('unexpected')).length, 0)
  assert.doesNotMatch(JSON.stringify(mesh.lines), /PRIVATE KEY|eyJhbGciOi/)
})

async function newRoot(name: string): Promise<{ readonly certificate: string; readonly key: string }> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const root = await X509CertificateGenerator.createSelfSigned({ name, notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000), keys, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true), await SubjectKeyIdentifierExtension.create(keys.publicKey)] })
  return { certificate: root.toString('pem') + '\n', key: pem(keys.privateKey as CryptoKey) }
}

test('one root takes over from another of the same name without a failed request', async (t) => {
  const mesh = await TrustMesh.create(3000)
  t.after(() => mesh.close())
  const [old, young] = [await newRoot('O=cluster.local'), await newRoot('O=cluster.local')]
  mesh.plugIn({ ...old, roots: old.certificate })
  await mesh.startPlane()
  const { inbound, outbound } = await callerAndServer(mesh)
  const received = (): number => mesh.lines.filter((l) => l.message === 'certificate received').length
  /** Calls until both sidecars have renewed since the authority changed, each call on whatever connection there is. */
  const everybodyRenewed = async (step: string): Promise<void> => {
    await eventually('the authority changed', () => mesh.lines.filter((l) => l.message === 'certificate authority changed').length, (n) => n >= changes, 10_000)
    const from = received()
    await eventually(step, async () => {
      assert.equal((await get(outbound, 'http://httpbin.foo:8000/headers', 'httpbin.foo:8000')).status, 200)
      return received() - from
    }, (n) => n >= 4, 20_000)
    // Pooled connections outlive the change; a new one must stand too.
    assert.equal(await freshCall(inbound, await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')), 'HTTP/1.1 200 OK', step)
  }
  let changes = 0
  const steps: [string, Parameters<TrustMesh['plugIn']>[0]][] = [
    ['both roots are trusted', { ...old, roots: old.certificate + young.certificate }],
    ['the young one signs', { ...young, roots: old.certificate + young.certificate }],
    ['the old one is gone', { ...young, roots: young.certificate }],
  ]
  for (const [what, files] of steps) {
    changes++
    mesh.plugIn(files)
    await everybodyRenewed(what)
  }
  await eventually('the old root is gone once nothing rests on it', () => readFileSync(mesh.rootPath, 'utf8').trim(), (pem) => pem === young.certificate.trim(), 20_000)
  // A pair that does not belong together is refused, and the young one goes on.
  mesh.plugIn({ certificate: old.certificate, key: young.key, roots: old.certificate })
  await eventually('the refusal is said', () => mesh.lines.find((l) => l.message === 'certificate authority refused, the last one goes on'), (l) => l !== undefined)
  const { certificate } = await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')
  assert.ok(certificate.verify(new X509Certificate(young.certificate).publicKey))
})

test('an authority that is replaced in one step takes over in several: no request fails, new connections included', async (t) => {
  // Certificates live long here: only because they are told do sidecars renew in time.
  const mesh = await TrustMesh.create(600_000)
  t.after(() => mesh.close())
  const [old, young] = [await newRoot('O=cluster.local'), await newRoot('O=cluster.local')]
  mesh.plugIn({ ...old, roots: old.certificate })
  await mesh.startPlane()
  const { inbound, outbound } = await callerAndServer(mesh)
  mesh.plugIn({ ...young, roots: young.certificate })
  const steps = (): unknown[] => mesh.lines.filter((l) => l.message === 'certificate authority changed').map((l) => l.fields['step'])
  await eventually('the old root is gone', async () => {
    assert.equal((await get(outbound, 'http://httpbin.foo:8000/headers', 'httpbin.foo:8000')).status, 200)
    assert.equal(await freshCall(inbound, await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')), 'HTTP/1.1 200 OK', JSON.stringify(steps()))
    return readFileSync(mesh.rootPath, 'utf8').trim()
  }, (pem) => pem === young.certificate.trim(), 30_000)
  assert.deepEqual(steps(), ['spreading', 'draining', 'steady'])
  assert.ok(!mesh.lines.some((l) => /different age/.test(l.message)), 'a sidecar of this checkout is as old as its control plane')
  const { certificate } = await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')
  assert.ok(certificate.verify(new X509Certificate(young.certificate).publicKey))
})

test('what the authority takes back counts no more: neither for the mesh’s sidecars nor for the control plane', async (t) => {
  const mesh = await TrustMesh.create(600_000)
  t.after(() => mesh.close())
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const name = 'O=cluster.local'
  const root = await X509CertificateGenerator.createSelfSigned({ name, notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3_600_000), keys, signingAlgorithm: algorithm, extensions: [new BasicConstraintsExtension(true, undefined, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true), await SubjectKeyIdentifierExtension.create(keys.publicKey)] })
  const certificate = root.toString('pem') + '\n'
  const files = { certificate, key: pem(keys.privateKey as CryptoKey), roots: certificate }
  const listOf = async (...serials: string[]): Promise<string> => {
    const list = await X509CrlGenerator.create({ issuer: name, thisUpdate: new Date(Date.now() - 60_000), nextUpdate: new Date(Date.now() + 60_000), signingAlgorithm: algorithm, signingKey: keys.privateKey as CryptoKey, entries: serials.map((serialNumber) => ({ serialNumber })) })
    return list.toString('pem').replaceAll(/(BEGIN|END) CRL/g, '$1 X509 CRL') + '\n'
  }
  mesh.plugIn({ ...files, revocations: await listOf() })
  await mesh.startPlane()
  const { inbound, outbound } = await callerAndServer(mesh)
  const call = (): Promise<Answer> => get(outbound, 'http://httpbin.foo:8000/headers', 'httpbin.foo:8000')
  assert.equal((await call()).status, 200)
  const stolen = await askCa(mesh, await mesh.token('sleep'), 'spiffe://x/ns/y/sa/z')
  assert.equal(await freshCall(inbound, stolen), 'HTTP/1.1 200 OK')

  mesh.plugIn({ ...files, revocations: await listOf(stolen.certificate.serialNumber) })
  await eventually('the stolen certificate', () => freshCall(inbound, stolen).catch(() => 'refused'), (status) => status === 'refused')
  assert.equal((await call()).status, 200, 'sleep itself has another one')
  const refusal = await askDiscovery(mesh, own, stolen)
  assert.match((refusal as ServiceError).details, /^certificate [0-9A-F]+ was revoked$/)

  // The server's own: callers go no further, and say why.
  mesh.plugIn({ ...files, revocations: await listOf(stolen.certificate.serialNumber, await presentedSerial(inbound)) })
  const answer = await eventually('the server’s certificate', call, (a) => a.status !== 200)
  assert.deepEqual([answer.status, /revoked: /.test(answer.body)], [503, true])
  // A list that is not the authority's is refused, and what was said holds on.
  mesh.plugIn({ ...files, revocations: 'none' })
  await eventually('the refusal is said', () => mesh.lines.find((l) => l.message === 'certificate authority refused, the last one goes on'), (l) => l !== undefined)
  assert.equal((await call()).status, 503)
  mesh.plugIn({ ...files, revocations: await listOf() })
  await eventually('taken back again', call, (a) => a.status === 200)
  assert.equal(mesh.lines.filter((l) => l.message === 'certificate authority changed').length, 0)
})
