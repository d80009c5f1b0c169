// A server outside the mesh, with a CA of its own that the mesh does not know: plaintext on 80, TLS on 443.
// Keys are made at start and stay in memory; only the CA's certificate is written, for those who shall trust it.
import 'reflect-metadata'
import { X509CertificateGenerator, BasicConstraintsExtension, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer as createHttp, type RequestListener } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { dirname } from 'node:path'
import type { TLSSocket } from 'node:tls'

const host = 'external-service.example.com'
const [caFile, plainPort = '80', tlsPort = '443'] = process.argv.slice(2)
if (caFile === undefined) throw new Error('usage: external.ts CA-FILE [PLAIN-PORT [TLS-PORT]]')

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const dayMs = 86_400_000
const makeKeys = () => crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
const dates = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + dayMs) }
const caKeys = await makeKeys()
const ca = await X509CertificateGenerator.createSelfSigned({ serialNumber: '01', name: 'CN=External CA', ...dates, signingAlgorithm: algorithm, keys: caKeys, extensions: [new BasicConstraintsExtension(true, 0, true)] })
const keys = await makeKeys()
const certificate = await X509CertificateGenerator.create({
  serialNumber: '02', subject: `CN=${host}`, issuer: ca.subject, ...dates, signingAlgorithm: algorithm, publicKey: keys.publicKey, signingKey: caKeys.privateKey,
  extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: host }])],
})
const key = Buffer.from(await crypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')

/** What the server saw of the connection, from its own socket. */
const answer: RequestListener = (request, response) => {
  const socket = request.socket as TLSSocket
  const encrypted = socket.encrypted === true
  const body = JSON.stringify({ host, url: request.url, tls: encrypted ? socket.getProtocol() : null, sni: encrypted ? socket.servername : null, clientCertificate: encrypted && socket.getPeerX509Certificate() !== undefined, headers: request.headers }, null, 2) + '\n'
  response.writeHead(200, { 'content-type': 'application/json' }).end(body)
}
mkdirSync(dirname(caFile), { recursive: true })
writeFileSync(caFile, ca.toString('pem') + '\n')
createHttp(answer).listen(Number(plainPort))
createHttps({ key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`, cert: certificate.toString('pem') + '\n' + ca.toString('pem'), requestCert: true, rejectUnauthorized: false }, answer).listen(Number(tlsPort))
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0))
