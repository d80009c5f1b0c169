// Stock Envoy takes everything that is generated: each golden case, and the meshes of the policy exam where they stand beside the checkout.
// Neither a rejection nor a deprecated field.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { buildMesh } from '#mesh'
import { decodeObjects, readFiles } from '#sources'
import { configOf, goldenFolders, readCase, type ProxyConfig } from '../golden/golden-case.ts'
import { testAuthority, type IssuedFiles, type TestAuthority } from './fixtures/certificates.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { staticBootstrap } from './fixtures/static-bootstrap.ts'
import { validate } from './fixtures/validate.ts'

let authority: TestAuthority | undefined
let files: IssuedFiles | undefined

after(() => {
  if (authority !== undefined) rmSync(authority.folder, { recursive: true, force: true })
})

/** What Envoy has to say against it; empty = it takes it. Equal configurations are asked once. */
async function complaints(envoy: string, config: ProxyConfig, seen = new Set<string>()): Promise<readonly string[]> {
  authority ??= await testAuthority()
  files ??= await authority.issue('sidecar', [{ type: 'url', value: 'spiffe://cluster.local/ns/foo/sa/sidecar' }])
  const bootstrap = staticBootstrap(config.resources, files)
  const text = JSON.stringify(bootstrap)
  if (seen.has(text)) return []
  seen.add(text)
  return (await validate(envoy, bootstrap, join(authority.folder, 'bootstrap.json'))).complaints
}

test('the lane sees a field that Envoy deprecates, and one that it refuses', async (t) => {
  const envoy = needsEnvoy(t)
  if (envoy === undefined) return
  authority ??= await testAuthority()
  const file = join(authority.folder, 'wrong.json')
  const cluster = (more: object) => ({ staticResources: { clusters: [{ name: 'c', type: 'STRICT_DNS', connectTimeout: '1s', ...more }] } }) as never
  assert.match((await validate(envoy, cluster({ respectDnsTtl: true }), file)).complaints.join('\n'), /respect_dns_ttl/)
  assert.equal((await validate(envoy, cluster({ lbPolicy: 'CLUSTER_PROVIDED' }), file)).ok, false)
  assert.deepEqual(await validate(envoy, cluster({}), file), { ok: true, complaints: [] })
})

for (const folder of goldenFolders()) {
  test(`golden ${basename(dirname(folder))}/${basename(folder)}`, async (t) => {
    const envoy = needsEnvoy(t)
    if (envoy === undefined) return
    const golden = readCase(folder)
    assert.deepEqual(await complaints(envoy, configOf(golden.mesh, golden.proxy)), [])
  })
}

const exams = process.env['KITH_EXAMS'] ?? join(import.meta.dirname, '../../../shared/exams')
const wanted = 100

test(`${wanted} meshes of the policy exam`, async (t) => {
  const envoy = needsEnvoy(t)
  if (envoy === undefined) return
  const root = join(exams, 'policy')
  if (!existsSync(root)) return t.skip('skipped: needs the policy exam beside the checkout (KITH_EXAMS)')
  const seen = new Set<string>()
  const refused: string[] = []
  for (const name of readdirSync(root).filter((d) => existsSync(join(root, d, 'policies.yaml'))).sort().slice(0, wanted)) {
    const mesh = buildMesh(decodeObjects(readFiles([join(root, 'base.yaml'), join(root, name, 'policies.yaml')]).documents).objects)
    for (const proxy of ['sleep.foo', 'httpbin.bar']) {
      for (const complaint of await complaints(envoy, configOf(mesh, proxy), seen)) refused.push(`${name} ${proxy}: ${complaint}`)
    }
  }
  assert.ok(seen.size > wanted / 2, 'too few configurations were made')
  assert.deepEqual(refused, [])
})
