// What an authority has taken back is refused at both ends, on new connections and on those that stand; and nothing else is.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readRevocations } from '#identity'
import { createAuthority } from './authority.ts'
import { clientId, serverId, startPair, type Pair } from './pair.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

const get = 'GET / HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n'
const call = async (pair: Pair): Promise<string> => {
  const socket = await intercepted(pair.proxyPort)
  const answer = await exchange(socket, get, whole)
  socket.destroy()
  return answer
}

async function withPair(t: import('node:test').TestContext): Promise<{ readonly pair: Pair; revoke(side: 'client' | 'server', lists: string): Promise<void>; readonly serials: { readonly client: string; readonly server: string } }> {
  const issued = new Map<string, string>()
  const own = await createAuthority()
  const authority = { ...own, issue: async (...args: Parameters<typeof own.issue>) => {
    const certificate = await own.issue(...args)
    issued.set(args[0][0]?.value ?? '', certificate.serial)
    return certificate
  } }
  const app = await httpApp((req, res) => res.end(String(req.headers['x-forwarded-client-cert'])))
  const pair = await startPair({ appPort: app.port, authority })
  t.after(async () => {
    await pair.stop()
    app.close()
  })
  const revoke = async (side: 'client' | 'server', lists: string): Promise<void> => pair[side].setSecret('ROOTCA', { kind: 'trust', roots: own.root, ...(lists === '' ? {} : { revoked: await readRevocations(lists) }) })
  return { pair, revoke, serials: { server: issued.get(serverId) as string, client: issued.get(clientId) as string } }
}

test('a caller whose certificate was revoked: its open connection ends, a new one is refused, the log says why', async (t) => {
  const { pair, revoke, serials } = await withPair(t)
  assert.match(await call(pair), /^HTTP\/1.1 200 /)
  await revoke('server', await pair.authority.revoke([serials.client]))
  assert.match(await call(pair), /^HTTP\/1.1 503 /)
  await until(() => pair.log.lines.some((l) => JSON.stringify(l).includes(`revoked: expected what its authority has not taken back`)), 'the refusal in the log')
  await revoke('server', '')
  assert.match(await call(pair), /^HTTP\/1.1 200 /)
})

test('a server whose certificate was revoked: pooled connections are not used again', async (t) => {
  const { pair, revoke, serials } = await withPair(t)
  assert.match(await call(pair), /^HTTP\/1.1 200 /)
  await revoke('client', await pair.authority.revoke([serials.server]))
  assert.match(await call(pair), /^HTTP\/1.1 503 [\s\S]*revoked/)
})

test('lists that name others, or are another authority’s, refuse nobody; nor do ended ones, nor authorities without a list', async (t) => {
  const { pair, revoke, serials } = await withPair(t)
  const stranger = await createAuthority('stranger')
  for (const lists of [await pair.authority.revoke(['77']), await stranger.revoke([serials.client, serials.server]), await pair.authority.revoke([])]) {
    await revoke('client', lists)
    await revoke('server', lists)
    assert.match(await call(pair), /^HTTP\/1.1 200 /)
  }
})
