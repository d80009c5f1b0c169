// What must not matter doesn't: the order of the objects, and what stands in a namespace that nobody of this mesh sees.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { isRecord } from '#api'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml, type RawDocument } from '#sources'
import { configOf, goldenFolders } from '../golden/golden-case.ts'
import { meshConfigOf } from '../../src/cli/load-mesh.ts'

interface Input {
  readonly name: string
  readonly proxy: string
  readonly documents: readonly RawDocument[]
}

const inputs: readonly Input[] = goldenFolders().map((folder) => {
  const [head, ...documents] = parseYaml(readFileSync(join(folder, 'in.yaml'), 'utf8'), 'in.yaml').documents
  return { name: folder, proxy: isRecord(head?.value) ? String(head.value['proxy']) : '', documents }
})

/** Plan, names, versions and bytes of all that the proxy is told. */
function told(documents: readonly RawDocument[], proxy: string): string {
  const { objects } = decodeObjects(documents)
  const { plan, endpoints, resources } = configOf(buildMesh(objects, { meshConfig: meshConfigOf(objects).config }), proxy)
  return [JSON.stringify(plan), JSON.stringify(endpoints), ...resources.map((r) => `${r.type} ${r.name} ${r.version} ${Buffer.from(r.any.value).toString('base64')}`)].join('\n')
}

function permuted<T>(items: readonly T[], keys: readonly number[]): T[] {
  return items.map((item, i) => ({ item, key: keys[i % keys.length] as number, i })).sort((a, b) => a.key - b.key || b.i - a.i).map((x) => x.item)
}

test('permuting the objects changes no byte', () => {
  fc.assert(
    fc.property(fc.constantFrom(...inputs), fc.array(fc.nat(1000), { minLength: 7, maxLength: 40 }), (input, keys) => {
      assert.equal(told(permuted(input.documents, keys), input.proxy), told(input.documents, input.proxy), input.name)
    }),
    { numRuns: 60 },
  )
})

const elsewhere = 'elsewhere'
const mode = fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET')
const host = fc.constantFrom('httpbin.foo.svc.cluster.local', 'api.bar.svc.cluster.local', '*.svc.cluster.local', '*', 'external-service.example.com')
const time = fc.constantFrom('2001-01-01T00:00:00Z', '2031-01-01T00:00:00Z')
const meta = (name: string, creationTimestamp: string) => ({ name, namespace: elsewhere, creationTimestamp })

/** Objects that keep to their own namespace. */
const strangers = fc.oneof(
  fc.record({ mode, at: time, selected: fc.boolean() }).map(({ mode: m, at, selected }) => ({
    apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: meta('stranger', at), spec: { ...(selected ? { selector: { matchLabels: { app: 'httpbin' } } } : {}), mtls: { mode: m } },
  })),
  fc.record({ host, at: time, tls: fc.constantFrom('DISABLE', 'ISTIO_MUTUAL', 'SIMPLE') }).map(({ host: h, at, tls }) => ({
    apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: meta('stranger', at), spec: { host: h, exportTo: ['.'], trafficPolicy: { tls: { mode: tls } } },
  })),
  fc.record({ host, at: time }).map(({ host: h, at }) => ({
    apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: meta('stranger', at), spec: { hosts: [h], exportTo: ['.'], http: [{ route: [{ destination: { host: 'stranger.elsewhere.svc.cluster.local' } }] }] },
  })),
  fc.record({ host, at: time }).map(({ host: h, at }) => ({
    apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: meta('stranger', at), spec: { hosts: [h === '*' ? 'any.example.com' : h], exportTo: ['.'], resolution: 'DNS', ports: [{ number: 8000, name: 'http', protocol: 'HTTP' }] },
  })),
  fc.record({ at: time }).map(({ at }) => ({ apiVersion: 'networking.istio.io/v1', kind: 'Sidecar', metadata: meta('default', at), spec: { egress: [{ hosts: ['./*'] }] } })),
  fc.record({ at: time }).map(({ at }) => ({
    apiVersion: 'apps/v1', kind: 'Deployment', metadata: meta('stranger', at), spec: { selector: { matchLabels: { app: 'httpbin' } }, template: { metadata: { labels: { app: 'httpbin' } }, spec: { containers: [{ name: 'a', image: 'a' }] } } },
  })),
)

test('an object that keeps to another namespace changes no byte', () => {
  fc.assert(
    fc.property(fc.constantFrom(...inputs), fc.array(strangers, { minLength: 1, maxLength: 4 }), (input, objects) => {
      // Written as YAML, since JSON is YAML.
      const more = parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'elsewhere.yaml').documents
      assert.equal(told([...more, ...input.documents], input.proxy), told(input.documents, input.proxy), input.name)
    }),
    { numRuns: 60 },
  )
})
