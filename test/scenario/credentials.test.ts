// credentialName end to end: a Secret among the files reaches the sidecar that the rule selects over SDS, and TLS is made with it. Real sockets, nothing faked.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createAuthority, type Authority, type Issued } from '../data-plane/authority.ts'
import { freePort } from '../fixtures/ports.ts'
import { eventually, get, TrustMesh } from './fixtures/trust-mesh.ts'

const host = 'files.example.com'
const indent = (text: string): string => text.trim().split('\n').map((l) => `    ${l}`).join('\n')
const secret = (name: string, values: Readonly<Record<string, string>>, namespace = 'foo'): string => `apiVersion: v1\nkind: Secret\nmetadata: {name: ${name}, namespace: ${namespace}}\nstringData:\n${Object.entries(values).map(([k, v]) => `  ${k}: |\n${indent(v)}`).join('\n')}\n---\n`
const rule = (mode: string, selects = true): string => `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: files, namespace: foo}
spec: {hosts: [${host}], addresses: [192.0.2.9], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.0.2.10, ports: {http: 9443}}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: files, namespace: foo}
spec:
  host: ${host}
  ${selects ? 'workloadSelector: {matchLabels: {app: sleep}}' : ''}
  trafficPolicy: {tls: {mode: ${mode}, credentialName: files, sni: ${host}}}
---
`

/** A server that asks for a client's certificate and says whose it saw. */
async function external(t: TestContext, own: Issued, clients: Authority): Promise<number> {
  const port = await freePort()
  const server = createServer({ cert: own.chain, key: own.key, ca: clients.root, requestCert: true, rejectUnauthorized: false }, (request, response) => {
    // A connection that is open stays as it is: each call makes its own.
    response.setHeader('connection', 'close')
    const socket = request.socket as import('node:tls').TLSSocket
    response.end(socket.authorized ? `client ${socket.getPeerX509Certificate()?.subjectAltName}` : 'nobody')
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return port
}

async function sleeping(t: TestContext, to: number, documents: string): Promise<{ mesh: TrustMesh; call: () => Promise<string> }> {
  const mesh = await TrustMesh.create(60_000)
  t.after(() => mesh.close())
  mesh.write('files.yaml', documents)
  await mesh.startPlane()
  const proxyPort = await freePort()
  await mesh.startSidecar('sleep', '10.244.0.4', { dial: { '192.0.2.10:9443': `127.0.0.1:${to}` }, inbound: [], httpProxy: `127.0.0.1:${proxyPort}`, hosts: { [host]: '192.0.2.9' } })
  return { mesh, call: () => get(proxyPort, `http://${host}/`, host).then((a) => `${a.status} ${a.body}`, (e: Error) => e.message) }
}

test('MUTUAL by a Secret: its certificate is shown, its roots are believed, a change is taken up, and no key is printed', async (t) => {
  const [servers, clients] = [await createAuthority('servers'), await createAuthority('clients')]
  const port = await external(t, await servers.issue([{ type: 'dns', value: host }]), clients)
  const [first, second] = [await clients.issue([{ type: 'dns', value: 'first' }]), await clients.issue([{ type: 'dns', value: 'second' }])]
  // Another namespace's Secret of that name is nobody's business.
  const { mesh, call } = await sleeping(t, port, secret('files', { 'tls.crt': second.chain, 'tls.key': second.key, 'ca.crt': clients.root }, 'bar') + rule('MUTUAL'))
  assert.match(await eventually('without the Secret', call, (a) => a.startsWith('503')), /^503/)
  mesh.write('secret.yaml', secret('files', { 'tls.crt': first.chain, 'tls.key': first.key, 'ca.crt': servers.root }))
  await eventually('with the Secret', call, (a) => a === '200 client DNS:first')
  mesh.write('secret.yaml', secret('files', { cert: second.chain, key: second.key, cacert: servers.root }))
  await eventually('renewed, by the other keys', call, (a) => a === '200 client DNS:second')
  // Roots of their own Secret come before those in the same one: these vouch for nobody here.
  mesh.write('roots.yaml', secret('files-cacert', { 'ca.crt': clients.root }))
  await eventually('other roots', call, (a) => a.startsWith('503'))
  mesh.write('roots.yaml', secret('files-cacert', { 'ca.crt': servers.root }))
  await eventually('roots again', call, (a) => a === '200 client DNS:second')
  // What can't be used leaves what was.
  mesh.write('secret.yaml', secret('files', { 'tls.crt': 'no certificate', 'tls.key': 'none' }))
  await eventually('refused', () => mesh.lines.some((l) => l.message === 'a secret can’t be used, the last good one stays'), (yes) => yes)
  assert.equal(await call(), '200 client DNS:second')
  assert.doesNotMatch(JSON.stringify(mesh.lines), /PRIVATE KEY|BEGIN CERT/)
})

test('SIMPLE by a Secret shows no certificate; one that a list has revoked is not believed', async (t) => {
  const [servers, clients] = [await createAuthority('servers'), await createAuthority('clients')]
  const own = await servers.issue([{ type: 'dns', value: host }])
  const port = await external(t, own, clients)
  const { mesh, call } = await sleeping(t, port, secret('files', { 'ca.crt': servers.root }) + rule('SIMPLE'))
  await eventually('SIMPLE', call, (a) => a === '200 nobody')
  mesh.write('files.yaml', secret('files', { 'ca.crt': servers.root, 'ca.crl': await servers.revoke([]) }) + rule('SIMPLE'))
  await eventually('an empty list', () => mesh.lines.filter((l) => l.message === 'secret taken up').length, (n) => n >= 2)
  assert.equal(await call(), '200 nobody')
  mesh.write('files.yaml', secret('files', { 'ca.crt': servers.root, 'ca.crl': await servers.revoke([own.serial]) }) + rule('SIMPLE'))
  await eventually('revoked', call, (a) => a.startsWith('503'))
})

test('a list of what is revoked in a file of the pod', async (t) => {
  const [servers, clients] = [await createAuthority('servers'), await createAuthority('clients')]
  const own = await servers.issue([{ type: 'dns', value: host }])
  const port = await external(t, own, clients)
  const folder = mkdtempSync(join(tmpdir(), 'kith-crl-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [roots, list] = [join(folder, 'ca.pem'), join(folder, 'crl.pem')]
  writeFileSync(roots, servers.root)
  writeFileSync(list, await servers.revoke([]))
  const { call } = await sleeping(t, port, rule('SIMPLE').replace('credentialName: files', `caCertificates: ${roots}, caCrl: ${list}`))
  await eventually('an empty list', call, (a) => a === '200 nobody')
  writeFileSync(list, await servers.revoke([own.serial, 'ff']))
  await eventually('revoked', call, (a) => a.startsWith('503') && /revoked/.test(a))
})

test('without a workloadSelector a sidecar takes neither the Secret nor the TLS, as in Istio', async (t) => {
  const [servers, clients] = [await createAuthority('servers'), await createAuthority('clients')]
  const port = await external(t, await servers.issue([{ type: 'dns', value: host }]), clients)
  const { mesh, call } = await sleeping(t, port, secret('files', { 'ca.crt': servers.root }) + rule('SIMPLE', false))
  // Plaintext to a TLS port: no answer of the server's.
  assert.match(await call(), /^(?!200)/)
  assert.ok(mesh.lines.some((l) => /for gateways, and a sidecar sends plaintext/.test(String(l.fields['problem']))), 'said when it is read')
})
