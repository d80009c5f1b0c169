import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { billOfMaterials, type Component } from './sbom.ts'

interface Locked {
  readonly version: string
  readonly dev?: boolean
  readonly integrity?: string
}

test('the bill of materials names each production package with the digest of the lock file', () => {
  const text = billOfMaterials([{ type: 'library', name: 'libc.so.6' }])
  assert.equal(billOfMaterials([{ type: 'library', name: 'libc.so.6' }]), text, 'made twice, it is the same')
  const { bomFormat, metadata, components } = JSON.parse(text) as {
    bomFormat: string
    metadata: { component: { name: string } }
    components: Component[]
  }
  assert.equal(bomFormat, 'CycloneDX')
  assert.equal(metadata.component.name, 'kith-mesh')
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8')) as { packages: Record<string, Locked> }
  const wanted = Object.entries(lock.packages).filter(([path, p]) => path !== '' && p.dev !== true)
  const expected = wanted.map(([path, p]) => {
    const digest = Buffer.from(p.integrity?.replace('sha512-', '') ?? '', 'base64').toString('hex')
    return `${path.slice(path.lastIndexOf('node_modules/') + 13)} ${p.version} ${digest}`
  })
  const listed = components.map((c) => `${c.name} ${c.version} ${c.hashes?.[0]?.content}`)
  for (const line of expected) assert.ok(listed.includes(line), line)
  assert.equal(components.at(-1)?.name, 'libc.so.6')
})
