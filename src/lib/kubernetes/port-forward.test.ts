import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { WebSocketServer } from 'ws'
import { forwardPort } from './port-forward.ts'

const portOf = (channel: number): Buffer => Buffer.from([channel, 0, 80])

/** An API server that forwards the pod `echo` to itself, refuses the pod `secret`, and can't reach the pod `closed`. */
async function apiServer(t: TestContext): Promise<string> {
  const http = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  http.on('upgrade', (request, socket, head) => {
    const pod = /pods\/([^/]+)\/portforward\?ports=80$/.exec(request.url ?? '')?.[1]
    if (pod === 'secret' || request.headers.authorization !== 'Bearer let-me-in') {
      const body = JSON.stringify({ kind: 'Status', message: 'pods "secret" is forbidden' })
      return void socket.end(`HTTP/1.1 403 Forbidden\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`)
    }
    sockets.handleUpgrade(request, socket, head, (ws) => {
      ws.send(portOf(0))
      ws.send(portOf(1))
      if (pod === 'closed') ws.send(Buffer.from('\x01connection refused'))
      else ws.on('message', (data: Buffer) => ws.send(data))
    })
  })
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const folder = mkdtempSync(join(tmpdir(), 'kith-forward-'))
  const kubeconfig = join(folder, 'config')
  writeFileSync(kubeconfig, JSON.stringify({
    apiVersion: 'v1', kind: 'Config', 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: { server: `http://127.0.0.1:${(http.address() as AddressInfo).port}` } }], users: [{ name: 'u', user: { token: 'let-me-in' } }],
  }))
  t.after(() => {
    for (const ws of sockets.clients) ws.terminate()
    http.close()
    rmSync(folder, { recursive: true })
  })
  return kubeconfig
}

async function exchange(port: number, sent: Buffer): Promise<Buffer> {
  const socket = connect(port, '127.0.0.1')
  socket.write(sent)
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of socket) {
    parts.push(chunk as Buffer)
    length += (chunk as Buffer).length
    if (length >= sent.length) break
  }
  return Buffer.concat(parts)
}

test('bytes go to the pod and come back whole, on several connections at once', async (t) => {
  const forward = await forwardPort({ namespace: 'foo', pod: 'echo', port: 80 }, { kubeconfig: await apiServer(t) })
  t.after(() => forward.close())
  const digest = (b: Buffer): string => createHash('sha256').update(b).digest('hex')
  const bodies = [randomBytes(5_000_000), Buffer.from('x'), randomBytes(70_000)]
  const answers = await Promise.all(bodies.map((body) => exchange(forward.port, body)))
  assert.deepEqual(answers.map(digest), bodies.map(digest))
})

test('what the API server or the pod refuses is said in their own words, and the port stays open', async (t) => {
  const kubeconfig = await apiServer(t)
  const cases: [string, RegExp][] = [['secret', /portforward: pods "secret" is forbidden$/], ['closed', /pod foo\/closed, port 80: connection refused$/]]
  for (const [pod, want] of cases) {
    const said: string[] = []
    const forward = await forwardPort({ namespace: 'foo', pod, port: 80 }, { kubeconfig, onFailure: (message) => said.push(message) })
    t.after(() => forward.close())
    for (let i = 0; i < 2; i++) {
      const socket = connect(forward.port, '127.0.0.1').on('error', () => undefined)
      socket.write('hello')
      socket.resume()
      await once(socket, 'close')
    }
    assert.equal(said.length, 2)
    for (const message of said) assert.match(message, want)
  }
})
