import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { unservedMeshConfig } from '#api'
import type { Logger } from '#lib/log.ts'
import { fileMeshConfig } from './mesh-config-source.ts'

test('a meshConfig file is taken up when it changes, however it is written; one with a fault is refused whole', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-mesh-config-'))
  const file = join(folder, 'mesh.yaml')
  const said: string[] = []
  const log: Logger = { debug() {}, info: (_f, m) => void said.push(m), warn: (_f, m) => void said.push(m), error: (_f, m) => void said.push(m), child: () => log }
  writeFileSync(file, 'trustDomain: one.example\nno-such-field: 1\n')
  let changes = 0
  const source = fileMeshConfig(file, log, () => changes++)
  t.after(() => {
    source.close()
    rmSync(folder, { recursive: true })
  })
  const until = async (what: string, is: () => boolean): Promise<void> => {
    for (let i = 0; !is(); i++) {
      if (i > 200) assert.fail(`${what}: ${JSON.stringify([source.current(), said])}`)
      await pause(20)
    }
  }
  assert.equal(source.current().trustDomain, 'one.example')
  assert.deepEqual(said, ['meshConfig has a fault'])
  // In place.
  writeFileSync(file, 'trustDomain: two.example\n')
  await until('written in place', () => source.current().trustDomain === 'two.example' && changes === 1)
  // As editors and mounts do it; the ConfigMap itself.
  writeFileSync(`${file}.new`, JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio' }, data: { mesh: 'trustDomain: three.example\n' } }))
  renameSync(`${file}.new`, file)
  await until('put in its place', () => source.current().trustDomain === 'three.example' && changes === 2)
  writeFileSync(file, 'trustDomain: [four]\n')
  await until('refused', () => said.includes('meshConfig refused, the last one goes on'))
  assert.deepEqual([source.current().trustDomain, changes], ['three.example', 2])
})

test('fields that change nothing are said with what that means; what is usual is not', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-mesh-config-'))
  const file = join(folder, 'mesh.yaml')
  const said: unknown[] = []
  const log: Logger = { debug() {}, info() {}, warn: (fields) => void said.push((fields as { field?: string }).field), error() {}, child: () => log }
  writeFileSync(file, 'caCertificates: [{pem: x}]\npathNormalization: {normalization: MERGE_SLASHES}\nenableTracing: true\naccessLogEncoding: TEXT\nextensionProviders: []\ntrustDomain: a.example\n')
  const source = fileMeshConfig(file, log, () => undefined)
  t.after(() => {
    source.close()
    rmSync(folder, { recursive: true })
  })
  assert.deepEqual(said, ['caCertificates', 'enableTracing'])
  assert.deepEqual(unservedMeshConfig({ pathNormalization: { normalization: 'NONE' }, enableTracing: false }), [])
})
