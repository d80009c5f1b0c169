// Certificates change under load, then the root does, in the stages that an operator would take: not one request fails.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Proxy } from '#proxy'
import { Secret } from '#lib/secret.ts'
import { createAuthority, type Authority } from './authority.ts'
import { baseService, clientId, serverId, startPair } from './pair.ts'
import { outboundResources } from './resources.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

test('rotation of certificates and of the root', async () => {
  const app = await httpApp((_req, res) => res.end('ok'))
  const pair = await startPair({ appPort: app.port })
  const next = await createAuthority('next root')
  let stop = false
  let answers = 0
  const failed: string[] = []
  const worker = async (fresh: boolean): Promise<void> => {
    let socket = await intercepted(pair.proxyPort)
    while (!stop) {
      const answer = await exchange(socket, 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n', whole)
      if (!answer.startsWith('HTTP/1.1 200 ')) failed.push(answer)
      answers++
      if (fresh) {
        socket.destroy()
        socket = await intercepted(pair.proxyPort)
      }
    }
    socket.destroy()
  }
  const certify = async (proxy: Proxy, id: string, authority: Authority): Promise<void> => {
    const cert = await authority.issue([{ type: 'url', value: id }], 10_000)
    proxy.setSecret('default', { kind: 'certificate', chain: cert.chain, key: new Secret(cert.key) })
  }
  const trust = (roots: string): void => {
    for (const proxy of [pair.client, pair.server]) proxy.setSecret('ROOTCA', { kind: 'trust', roots })
  }
  // A new version of the clusters retires their pools: the next request opens a connection.
  const renew = (): void => assert.deepEqual(pair.client.update(outboundResources([baseService([{ port: 80, kind: 'http', mode: 'STRICT' }])])).errors, [])
  /** Twenty more answers. */
  const pause = (): Promise<void> => {
    const goal = answers + 20
    return until(() => answers >= goal, 'twenty more answers')
  }
  try {
    const work = Promise.all([worker(false), worker(true), worker(true), worker(false)])
    for (let i = 0; i < 15; i++) {
      await certify(i % 2 === 0 ? pair.server : pair.client, i % 2 === 0 ? serverId : clientId, pair.authority)
      // New certificates only show on new connections.
      renew()
      await pause()
    }
    trust(pair.authority.root + next.root)
    await pause()
    await certify(pair.server, serverId, next)
    renew()
    await pause()
    await certify(pair.client, clientId, next)
    renew()
    await pause()
    trust(next.root)
    renew()
    await pause()
    stop = true
    await work
    assert.deepEqual(failed, [])
  } finally {
    stop = true
    await pair.stop()
    app.close()
  }
})
