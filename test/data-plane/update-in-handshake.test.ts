// A configuration that arrives while a connection is still inspected, or in its TLS handshake, holds for that connection too.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { freePort } from '../fixtures/ports.ts'
import { startPair, type Pair } from './pair.ts'
import { downstreamTls, hcm, inboundResources, resource } from './resources.ts'
import { exchange, httpApp, talk, whole } from './talk.ts'

const request = 'GET / HTTP/1.1\r\nhost: httpbin\r\n\r\n'
const httpFilter = (name: string, type: string, more: JsonObject = {}): JsonObject =>
  ({ name: `envoy.filters.http.${name}`, typedConfig: { '@type': `type.googleapis.com/envoy.extensions.filters.http.${type}`, ...more } })
const denyAll = httpFilter('rbac', 'rbac.v3.RBAC', { rules: { action: 'DENY', policies: { all: { permissions: [{ any: true }], principals: [{ any: true }] } } } })

/** An inbound listener with mutual TLS alone; `filters` before the router, `alpn` of its TLS settings. */
function serve(pair: Pair, filters: JsonObject[], alpn: string[] = ['http/1.1']): void {
  const router = httpFilter('router', 'router.v3.Router')
  const routes = { virtualHosts: [{ name: 'in', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|80||' } }] }] }
  const listener = resource('listener', {
    name: 'virtualInbound', trafficDirection: 'INBOUND', address: { socketAddress: { address: '0.0.0.0', portValue: 15006 } },
    listenerFilters: [{ name: 'tls', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector' } }],
    filterChains: [{
      filterChainMatch: { transportProtocol: 'tls' }, filters: [hcm({ httpFilters: [...filters, router], routeConfig: routes }, true)], transportSocket: downstreamTls(alpn),
    }],
  })
  const others = inboundResources([{ port: 80, kind: 'http', mode: 'STRICT' }], 'STRICT').filter((r) => r.name !== 'virtualInbound')
  assert.deepEqual(pair.server.update([...others, listener]).errors, [])
}

/** A relay that passes the client's first bytes on and holds all later ones until `release`. `answered`: the server has spoken. */
async function slowClient(target: number): Promise<{ readonly port: number; readonly answered: Promise<unknown>; release(): void; close(): void }> {
  const sockets: Socket[] = []
  let answered: () => void = () => undefined
  const spoken = new Promise<void>((resolve) => (answered = resolve))
  let release: () => void = () => undefined
  const released = new Promise<void>((resolve) => (release = resolve))
  const server = createServer((client) => {
    const upstream = connect(target, '127.0.0.1')
    for (const socket of [client, upstream]) sockets.push(socket.on('error', () => socket.destroy()))
    client.once('data', (hello) => {
      client.pause()
      upstream.write(hello)
      void released.then(() => client.pipe(upstream))
    })
    upstream.once('data', () => answered())
    upstream.pipe(client)
  })
  const port = await freePort()
  await once(server.listen(port, '127.0.0.1'), 'listening')
  return { port, answered: spoken, release, close: () => [...sockets.map((s) => s.destroy()), server.close()] }
}

/** What a client gets whose handshake begins under one configuration and ends under the next. */
async function acrossUpdate(pair: Pair, update: () => void): Promise<string> {
  const relay = await slowClient(pair.inboundPort)
  const { chain: cert, key } = pair.issued.client
  const socket = tlsConnect({ host: '127.0.0.1', port: relay.port, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], cert, key })
  try {
    await relay.answered
    update()
    relay.release()
    return await exchange(socket, request, whole)
  } finally {
    socket.destroy()
    relay.close()
  }
}

test('the configuration changes during a TLS handshake: new policies hold, other TLS settings end the connection', async () => {
  const app = await httpApp((_request, response) => void response.end('ok'))
  const pair = await startPair({ appPort: app.port })
  try {
    serve(pair, [])
    assert.match(await acrossUpdate(pair, () => undefined), /^HTTP\/1.1 200 /)
    assert.match(await acrossUpdate(pair, () => serve(pair, [denyAll])), /^HTTP\/1.1 403 /)
    assert.match(await acrossUpdate(pair, () => serve(pair, [])), /^HTTP\/1.1 200 /)
    assert.equal(await acrossUpdate(pair, () => serve(pair, [], ['http/1.1', 'istio'])), '')
    assert.match(pair.server.metrics(), /kith_connections_refused_total\{reason="configuration_changed"\} 1/)
  } finally {
    await pair.stop()
    app.close()
  }
})

test('the configuration changes while the first bytes are awaited: plaintext meets the STRICT of now', async () => {
  const app = await httpApp((_request, response) => void response.end('ok'))
  const pair = await startPair({ appPort: app.port, inbound: [{ port: 80, kind: 'http', mode: 'PERMISSIVE' }] })
  try {
    const socket = connect(pair.inboundPort, '127.0.0.1')
    await once(socket, 'connect')
    // Connections are accepted in their order, so the silent one has been when this one is answered.
    assert.match(await talk(pair.inboundPort, request, whole), /^HTTP\/1.1 200 /)
    pair.server.update(inboundResources([{ port: 80, kind: 'http', mode: 'STRICT' }], 'STRICT'))
    assert.equal(await exchange(socket, request, whole), '')
  } finally {
    await pair.stop()
    app.close()
  }
})
