// A stock Envoy and Node under authorities of every kind: what the mesh signs is taken by both, on both sides of mutual
// TLS.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as plainRequest } from 'node:http'
import { request as secureRequest, type RequestOptions } from 'node:https'
import { KeyObject } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { ecdsaP256, issueCertificate, readAuthority } from '#ca'
import { good } from '../certificates/authority-cases.ts'
import { cacerts, makeLevels, opensslMissing } from '../certificates/openssl-authorities.ts'
import { freePort } from '../fixtures/ports.ts'
import { findEnvoy, needsEnvoy } from './fixtures/envoy-binary.ts'
import { startEnvoy, type RunningEnvoy } from './fixtures/running-envoy.ts'

const names = [
  'UTF8, as openssl writes it',
  'three levels below the root, each in its own encoding',
  'several values in one RDN',
  'no name at all',
  'RSA 4096',
  'P-384',
  'Ed25519',
  'an RSA intermediate below Ed25519',
] as const
const tls = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
const hcm = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'

interface Files {
  readonly certificate: string
  readonly key: string
  readonly root: string
}

interface Case {
  readonly files: Files
  /** Mutual TLS ends here. */
  readonly secure: number
  /** What comes in plaintext goes there. */
  readonly plain: number
}

let folder = ''
let envoy: RunningEnvoy | undefined
const cases = new Map<string, Case>()

async function issued(name: string): Promise<Files> {
  const files = cacerts(makeLevels(folder, name, good[name] ?? []))
  const nowMs = Date.now() + 1000
  const authority = await readAuthority((file) => files[file], name, nowMs)
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  const csr = (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: ecdsaP256 })).toString('pem')
  const uri = 'spiffe://cluster.local/ns/foo/sa/sleep'
  const chain = await issueCertificate(authority, {
    csr,
    names: [{ type: 'url', value: uri }],
    lifetimeMs: 3_600_000,
    nowMs,
  })
  const at = join(folder, String(cases.size))
  writeFileSync(`${at}.crt`, chain.slice(0, -1).join(''))
  writeFileSync(`${at}.key`, KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(`${at}.root`, authority.roots)
  return { certificate: `${at}.crt`, key: `${at}.key`, root: `${at}.root` }
}

function common({ certificate, key, root }: Files): JsonObject {
  const tlsCertificates = [{ certificateChain: { filename: certificate }, privateKey: { filename: key } }]
  return { tlsCertificates, validationContext: { trustedCa: { filename: root } } }
}

function listener(name: string, port: number, action: JsonObject, transportSocket?: JsonObject): JsonObject {
  const routes = [{ match: { prefix: '/' }, ...action }]
  const routeConfig = { name, virtualHosts: [{ name, domains: ['*'], routes }] }
  const router = { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' }
  const typedConfig = {
    '@type': hcm,
    statPrefix: 'x',
    routeConfig,
    httpFilters: [{ name: 'router', typedConfig: router }],
  }
  const filters = [{ name: 'hcm', typedConfig }]
  const chain = { filters, ...(transportSocket === undefined ? {} : { transportSocket }) }
  return { name, address: { socketAddress: { address: '127.0.0.1', portValue: port } }, filterChains: [chain] }
}

function resourcesOf(
  name: string,
  { files, secure, plain }: Case,
): { listeners: JsonObject[]; clusters: JsonObject[] } {
  const commonTlsContext = common(files)
  const downstream = { '@type': `${tls}.DownstreamTlsContext`, requireClientCertificate: true, commonTlsContext }
  const upstream = { '@type': `${tls}.UpstreamTlsContext`, commonTlsContext }
  const answers = { directResponse: { status: 200, body: { inlineString: 'taken' } } }
  const address = { socketAddress: { address: '127.0.0.1', portValue: secure } }
  const loadAssignment = { clusterName: name, endpoints: [{ lbEndpoints: [{ endpoint: { address } }] }] }
  return {
    listeners: [
      listener(`${name} secure`, secure, answers, { name: 'tls', typedConfig: downstream }),
      listener(`${name} plain`, plain, { route: { cluster: name } }),
    ],
    clusters: [{ name, type: 'STATIC', loadAssignment, transportSocket: { name: 'tls', typedConfig: upstream } }],
  }
}

before(async () => {
  const found = findEnvoy()
  if (!('path' in found) || opensslMissing()) return
  folder = mkdtempSync(join(tmpdir(), 'kith-envoy-authorities-'))
  for (const name of names) {
    cases.set(name, { files: await issued(name), secure: await freePort(), plain: await freePort() })
  }
  const all = [...cases].map(([name, one]) => resourcesOf(name, one))
  const staticResources = { listeners: all.flatMap((r) => r.listeners), clusters: all.flatMap((r) => r.clusters) }
  envoy = await startEnvoy({ binary: found.path, folder, name: 'authorities', bootstrap: { staticResources } })
})
after(async () => {
  await envoy?.stop()
  if (folder !== '') rmSync(folder, { recursive: true, force: true })
})

function get(ask: typeof plainRequest, options: RequestOptions): Promise<string> {
  return new Promise((resolve) => {
    const sent = ask({ host: '127.0.0.1', path: '/', agent: false, ...options }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (c: Buffer) => chunks.push(c))
      response.on('end', () => resolve(`${response.statusCode} ${Buffer.concat(chunks).toString()}`))
    })
    sent.on('error', (error) => resolve(error.message)).end()
  })
}

test('Envoy takes what each authority signs from Envoy and from Node, and Node from Envoy', async (t) => {
  if (needsEnvoy(t) === undefined) return
  if (opensslMissing()) return t.skip('skipped: needs openssl')
  assert.equal(cases.size, names.length)
  for (const [name, { files, secure, plain }] of cases) {
    assert.equal(
      await get(plainRequest, { port: plain }),
      '200 taken',
      `${name}: Envoy to Envoy\n${envoy?.log() ?? ''}`,
    )
    const [cert, key, ca] = [files.certificate, files.key, files.root].map((file) => readFileSync(file))
    const options = { port: secure, cert, key, ca, checkServerIdentity: () => undefined }
    assert.equal(
      await get(secureRequest as typeof plainRequest, options as RequestOptions),
      '200 taken',
      `${name}: Node to Envoy`,
    )
  }
})
