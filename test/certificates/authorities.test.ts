// What an authority signs, whoever made it, is taken by Go: issuers are copied byte for byte, and what Go would not
// take is never served.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  BasicConstraintsExtension,
  Pkcs10CertificateRequestGenerator,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
} from '@peculiar/x509'
import { ecdsaP256, issueCertificate, newRootFiles, readAuthority, renewedRootFiles, type Authority } from '#ca'
import {
  parseCertificates,
  parseTrustBundle,
  rawSubject,
  strictChainProblem,
  verifyPresented,
  writeElement,
  writeOid,
} from '#identity'
import { signCertificate } from '../../src/control-plane/ca/signed-certificate.ts'
import { bad, badNames, good } from './authority-cases.ts'
import { cacerts, makeLevels, opensslMissing, type Made } from './openssl-authorities.ts'
import { findGoVerifier, judge, makeByGo, type Judged } from './go-verifier.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('go')
const verifier = findGoVerifier()
const missing = 'missing' in verifier ? verifier.missing : opensslMissing() ? 'openssl' : undefined
if (missing !== undefined && required) throw new Error(`REQUIRE=go, but ${missing} is missing`)
const skip = missing === undefined ? false : `needs ${missing}`
const go = 'path' in verifier ? verifier.path : ''

let folder = ''
let csr = ''
let publicKey: Uint8Array
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'kith-authorities-'))
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  csr = (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: ecdsaP256 })).toString('pem')
  publicKey = new Uint8Array(await crypto.subtle.exportKey('spki', keys.publicKey))
})
after(() => rmSync(folder, { recursive: true, force: true }))

const dns = 'istiod.istio-system.svc'
const spiffe = 'spiffe://cluster.local/ns/foo/sa/sleep'
/** Two days after the authorities were made: one that lasts a day has ended. */
const nowMs = Date.now() + 2 * 86_400_000
const read = (files: Readonly<Record<string, string>>): Promise<Authority> =>
  readAuthority((name) => files[name], 'the test', nowMs)

/** A workload's and a serving certificate, each as it is served. */
async function issued(name: string, authority: Authority): Promise<Judged[]> {
  const of = async (names: Parameters<typeof issueCertificate>[1]['names']): Promise<string> =>
    (await issueCertificate(authority, { csr, names, lifetimeMs: 3_600_000, nowMs })).slice(0, -1).join('')
  return [
    { name: `${name}: workload`, chain: await of([{ type: 'url', value: spiffe }]), roots: authority.roots, nowMs },
    { name: `${name}: serving`, chain: await of([{ type: 'dns', value: dns }]), roots: authority.roots, dns, nowMs },
  ]
}

test('what an authority signs is taken by Go, whatever it was made by', { skip }, async () => {
  const chains: Judged[] = []
  const authorities: [string, Authority][] = []
  for (const [name, levels] of Object.entries(good))
    authorities.push([name, await read(cacerts(makeLevels(folder, name, levels)))])
  const wishes = [
    { name: 'step', organization: 'Smallstep', commonName: 'Smallstep', key: 'ecdsa' },
    { name: 'cert-manager', organization: 'cert-manager', commonName: 'mesh.example', key: 'rsa' },
    { name: 'Go: UTF8', organization: 'A & B *', commonName: 'ü', key: 'ecdsa' },
    { name: 'Go: no organization', commonName: 'Corp', key: 'ed25519' },
  ] as const
  for (const { name, cert, key, root } of makeByGo(go, wishes)) {
    authorities.push([name, await read({ 'tls.crt': cert, 'tls.key': key, 'ca.crt': root })])
    authorities.push([
      `${name}, as cacerts without the signer in its chain`,
      await read({ 'ca-cert.pem': cert, 'ca-key.pem': key, 'root-cert.pem': root, 'cert-chain.pem': root }),
    ])
  }
  authorities.push(['our own', await read(await newRootFiles('cluster.local', nowMs))])
  for (const [name, authority] of authorities) {
    const own = await issued(name, authority)
    chains.push(...own)
    // What the sidecars go by says the same.
    assert.ok(
      'peer' in
        verifyPresented(parseCertificates(own[0]?.chain ?? ''), {
          bundle: parseTrustBundle(authority.roots),
          trustDomains: ['cluster.local'],
          nowMs,
        }),
      name,
    )
    assert.ok(rawIssuer(own[0]?.chain ?? '').equals(rawSubject(new Uint8Array(authority.certificate.rawData))), name)
    if (authority.intermediates.length > 0) continue
    // A root's next life: the same name in the same bytes, so that both lives verify what either signed.
    const next = await read(await renewedRootFiles(authority, nowMs))
    const later = await issued(`${name}, renewed`, next)
    chains.push(
      ...later,
      ...own.map((c) => ({ ...c, name: `${c.name}, by the renewed root`, roots: next.roots })),
      ...later.map((c) => ({ ...c, name: `${c.name}, by the root of before`, roots: authority.roots })),
    )
  }
  const verdicts = judge(go, chains)
  assert.equal(verdicts.size, chains.length)
  assert.deepEqual(
    [...verdicts].filter(([, fault]) => fault !== ''),
    [],
  )
})

function rawIssuer(pem: string): Buffer {
  const leaf = parseCertificates(pem)[0] as X509Certificate
  // serial, algorithm, issuer: found by its position, not by the reader under test.
  return elementAt(leaf.raw, [0, 3])
}

/** The element at a path of positions within nested sequences. */
function elementAt(der: Buffer, path: readonly number[]): Buffer {
  let bytes = der
  for (const index of path) {
    let at = headerOf(bytes).length
    for (let i = 0; i < index; i++) at += headerOf(bytes.subarray(at)).whole
    bytes = bytes.subarray(at, at + headerOf(bytes.subarray(at)).whole)
  }
  return bytes
}

function headerOf(bytes: Buffer): { length: number; whole: number } {
  const first = bytes[1] as number
  const octets = first < 0x80 ? 0 : first & 0x7f
  return { length: 2 + octets, whole: 2 + octets + (octets === 0 ? first : bytes.readUIntBE(2, octets)) }
}

/** A leaf that no check has held up. */
async function uncheckedLeaf(levels: readonly Made[], name: string, subject?: Uint8Array): Promise<Judged[]> {
  const signer = levels.at(-1) as Made
  const issuer = subject ?? rawSubject(new X509Certificate(signer.cert).raw)
  const of = async (
    kind: string,
    names: ConstructorParameters<typeof SubjectAlternativeNameExtension>[0],
  ): Promise<Judged> => {
    const der = await signCertificate(
      {
        serialNumber: '41',
        issuer,
        notBeforeMs: nowMs - 180_000,
        notAfterMs: nowMs + 3_600_000,
        publicKey,
        extensions: [
          new BasicConstraintsExtension(false, undefined, true),
          new SubjectAlternativeNameExtension(names, true),
        ],
      },
      createPrivateKey(signer.key),
    )
    return {
      name: `${name}: ${kind}`,
      chain:
        new X509Certificate(der).toString() +
        levels
          .toReversed()
          .slice(0, -1)
          .map((l) => l.cert)
          .join(''),
      roots: levels[0]?.cert ?? '',
      nowMs,
    }
  }
  return [await of('workload', [{ type: 'url', value: spiffe }]), await of('serving', [{ type: 'dns', value: dns }])]
}

const strictly = ({ chain, roots }: Judged): string | undefined => {
  const [leaf, ...intermediates] = parseCertificates(chain)
  return strictChainProblem(leaf as X509Certificate, { intermediates, roots: parseCertificates(roots), nowMs })
}

test(
  'an authority whose certificates Go would not take is refused with the reason, before it signs',
  { skip },
  async () => {
    const chains: Judged[] = []
    for (const [name, [levels, reason]] of Object.entries(bad)) {
      const made = makeLevels(folder, `bad ${name}`, levels)
      await assert.rejects(
        read(cacerts(made)),
        (error: { code?: string; message: string }) => error.code === 'CA_UNREADABLE' && reason.test(error.message),
        name,
      )
      chains.push(...(await uncheckedLeaf(made, name)))
    }
    for (const [name, levels] of Object.entries(badNames)) {
      const made = makeLevels(folder, `bad ${name}`, levels)
      const authority = await read(cacerts(made))
      for (const names of [[{ type: 'url' as const, value: spiffe }], [{ type: 'dns' as const, value: dns }]]) {
        await assert.rejects(
          issueCertificate(authority, { csr, names, lifetimeMs: 60_000, nowMs }),
          { code: 'CA_UNFIT', message: /name constraints forbid it/ },
          name,
        )
      }
      chains.push(...(await uncheckedLeaf(made, name)))
    }
    // The fault of old: the issuer written anew, in another encoding.
    const [utf8] = [makeLevels(folder, 'rewritten', [{ subject: '/O=Corp/CN=Corp Root' }])]
    const printable = rawSubject(
      new X509Certificate(
        (makeLevels(folder, 'printable', [{ subject: '/O=Corp/CN=Corp Root', mask: 'printable' }])[0] as Made).cert,
      ).raw,
    )
    const rewritten = await uncheckedLeaf(utf8, 'issuer written anew', printable)
    for (const chain of rewritten) assert.match(strictly(chain) ?? '', /written in other bytes/)
    chains.push(...rewritten, ...(await universalName()))
    // Go takes it, OpenSSL and so our own sidecars do not: issuer and subject are both empty.
    const nameless = await uncheckedLeaf(makeLevels(folder, 'nameless', [{ subject: '/' }]), 'no name')
    for (const chain of nameless) assert.match(strictly(chain) ?? '', /OpenSSL takes it for self-signed/)
    const verdicts = judge(go, chains)
    // What Go takes and we do not, or the other way round.
    assert.deepEqual(
      chains
        .filter((c) => (strictly(c) === undefined) !== (verdicts.get(c.name) === ''))
        .map((c) => `${c.name}: ours ${strictly(c)}, Go’s ${verdicts.get(c.name)}`),
      [],
    )
    const taken = [...verdicts].filter(([, fault]) => fault === '').map(([name]) => name)
    assert.deepEqual(taken, [])
  },
)

/** A name in a UniversalString, which Go does not read. */
async function universalName(): Promise<Judged[]> {
  const value = Buffer.from([...'Root'].flatMap((c) => [0, 0, 0, c.charCodeAt(0)]))
  const subject = writeElement(
    0x30,
    writeElement(0x31, writeElement(0x30, writeOid('2.5.4.3'), writeElement(0x1c, value))),
  )
  const key = createPrivateKey((makeLevels(folder, 'universal', [{ subject: '/CN=x' }])[0] as Made).key)
  const spki = new X509Certificate(readFileSync(join(folder, 'universal-0.pem'))).publicKey.export({
    type: 'spki',
    format: 'der',
  })
  const der = await signCertificate(
    {
      serialNumber: '42',
      issuer: subject,
      subject,
      notBeforeMs: nowMs - 180_000,
      notAfterMs: nowMs + 3_600_000,
      publicKey: spki,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        await SubjectKeyIdentifierExtension.create(spki),
      ],
    },
    key,
  )
  const made = [
    { cert: new X509Certificate(der).toString(), key: key.export({ type: 'pkcs8', format: 'pem' }) as string },
  ]
  await assert.rejects(read(cacerts(made)), /Go does not read/)
  return uncheckedLeaf(made, 'UniversalString')
}
