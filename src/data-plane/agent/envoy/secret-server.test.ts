// Envoy's SDS stream at the agent: what goes beyond what can exist ends.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Client, credentials, status, type ServiceError } from '@grpc/grpc-js'
import { silentLogger } from '#lib/log.ts'
import { secretsMethod, typeUrls } from '#xds'
import { serveSecrets } from './secret-server.ts'

test('a stream that asks for more secrets than can exist ends, others go on', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-sds-'))
  const socket = join(folder, 'sds')
  const server = await serveSecrets(socket, silentLogger)
  const client = new Client(`unix:${socket}`, credentials.createInsecure())
  t.after(() => {
    client.close()
    server.close()
    rmSync(folder, { recursive: true, force: true })
  })
  const open = (typeUrl: string, names: readonly string[]) => {
    const { path, requestSerialize, responseDeserialize } = secretsMethod
    const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
    stream.write({ typeUrl, names, nonce: '' })
    return stream
  }
  const rows: readonly (readonly [string, readonly string[]])[] = [
    [typeUrls.secret, Array.from({ length: 100_000 }, (_, i) => `default${i}`)],
    [typeUrls.secret, [`file-root:${'x'.repeat(10_000)}`]],
    ['x'.repeat(10_000), ['default']],
  ]
  for (const [typeUrl, names] of rows) {
    const stream = open(typeUrl, names)
    stream.on('data', () => undefined)
    const end = await new Promise<ServiceError>((resolve) => stream.on('error', (e) => resolve(e as ServiceError)))
    assert.equal(end.code, status.RESOURCE_EXHAUSTED, end.details)
  }
  const good = open(typeUrls.secret, ['file-root:system'])
  good.on('error', () => undefined)
  await new Promise((resolve) => good.once('data', resolve))
  good.cancel()
})
