// A folder with 2,000 Services: their translations are more than one netlink write holds.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startMesh, type MeshEvent } from '#local'
import { hasNamespaces } from './fixtures/lane.ts'
import { until } from './fixtures/mesh-lane.ts'

const services = (count: number): string =>
  Array.from(
    { length: count },
    (_, i) => `apiVersion: v1
kind: Service
metadata: {name: many-${i}, namespace: foo}
spec: {selector: {app: echo}, ports: [{name: http, port: 8000, targetPort: 80}]}`,
  ).join('\n---\n')

test('2,000 Services: with and without a sidecar the last one is reached, also after one is added', async (t) => {
  if (!hasNamespaces(t)) return
  const dir = mkdtempSync(join(tmpdir(), 'kith-many-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  cpSync('test/scenario/fixtures/small-mesh', dir, { recursive: true })
  const file = join(dir, 'mesh.yaml')
  const own = readFileSync(file, 'utf8')
  writeFileSync(file, `${own}\n---\n${services(2000)}`)
  const events: MeshEvent[] = []
  const mesh = await startMesh({ dir, onEvent: (e) => events.push(e) })
  t.after(() => mesh.down())
  await mesh.waitReady()
  const status = async (from: string, name: string): Promise<string> => {
    const url = `http://${name}.foo:8000/`
    const { stdout } = await mesh.exec(from, ['curl', '-s', '-o', '/dev/null', '-w', '%{http_code}', '--max-time', '10', url])
    return stdout
  }
  const clients = ['client.foo', 'client.legacy']
  for (const from of clients) assert.equal(await status(from, 'many-1999'), '200', from)
  writeFileSync(file, `${own}\n---\n${services(2001)}`)
  for (const from of clients) await until(async () => (await status(from, 'many-2000')) === '200')
  assert.deepEqual(events.filter((e) => JSON.stringify(e).includes('EMSGSIZE')), [])
})
