// Ambiguous requests through a client's sidecar, mutual TLS and a server's sidecar, each judged beside two stock Envoys in the same places: what Envoy refuses is refused, and nothing is smuggled.
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { listenOn } from '../data-plane/pair.ts'
import { testAuthority, type TestAuthority } from '../envoy/fixtures/certificates.ts'
import { needsEnvoy } from '../envoy/fixtures/envoy-binary.ts'
import { startMixedPair, type Side } from '../envoy/fixtures/mixed-pair.ts'
import { ambiguous } from './ambiguous-cases.ts'
import { stricter } from './ambiguous-stricter.ts'

const patienceMs = 1500
const atOnce = 20

let authority: TestAuthority | undefined
after(() => {
  if (authority !== undefined) rmSync(authority.folder, { recursive: true, force: true })
})

test(`${ambiguous.length} ambiguous requests: none is served that Envoy refuses, none hides another`, { timeout: 120_000 }, async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const own = (authority = await testAuthority())
  const seen: string[] = []
  const malformed: string[] = []
  const app = createServer((request, response) => {
    seen.push(request.url ?? '')
    request.on('error', () => undefined).on('end', () => response.setHeader('x-app', '1').end('ok')).resume()
  })
  app.on('clientError', (error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer }, socket) => {
    if (error.code?.startsWith('HPE_') === true && error.code !== 'HPE_INVALID_EOF_STATE') malformed.push(`${error.code} ${JSON.stringify(error.rawPacket?.toString('latin1'))}`)
    socket.destroy()
  })
  const application = await listenOn(app)
  const served = async (side: Side): Promise<ReadonlySet<string>> => {
    const pair = await startMixedPair({ client: side, server: side, binary, authority: own, services: { http: 8000 }, application })
    try {
      const found = new Set<string>()
      for (let i = 0; i < ambiguous.length; i += atOnce) {
        await Promise.all(ambiguous.slice(i, i + atOnce).map(async ({ name, bytes }, n) => {
          const filled = bytes.replaceAll('{path}', `/case-${i + n}`).replaceAll('{host}', 'server.foo')
          if (await isServed(pair.ports.http, filled)) found.add(name)
        }))
      }
      return found
    } finally {
      await pair.stop()
    }
  }
  try {
    const kith = await served('kith')
    assert.deepEqual(malformed, [], 'the application was sent what it can’t read')
    assert.deepEqual(seen.filter((url) => url.includes('smuggled')), [])
    const envoy = await served('envoy')
    assert.deepEqual([...kith].filter((name) => !envoy.has(name)), [], 'Envoy refuses these')
    assert.deepEqual(ambiguous.map((a) => a.name).filter((name) => envoy.has(name) && !kith.has(name)), stricter)
    assert.ok(kith.size >= 20, 'hardly anything was served')
  } finally {
    app.closeAllConnections()
    app.close()
  }
})

/** Whether the application's answer comes back. An answer of a sidecar's own, the end of the connection and silence are none. */
function isServed(port: number, bytes: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.from(bytes, 'latin1')))
    let heard = ''
    const timer = setTimeout(() => finish(), patienceMs)
    const finish = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(heard.startsWith('HTTP/1.1 200 ') && /^x-app: 1\r$/im.test(heard))
    }
    socket.setEncoding('latin1').on('data', (part: string) => {
      heard += part
      if (heard.includes('\r\n\r\n') && !heard.startsWith('HTTP/1.1 100')) finish()
    })
    socket.on('error', () => undefined).on('close', finish)
  })
}
