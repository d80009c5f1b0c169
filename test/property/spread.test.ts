// Whom a call may reach, by explain, against the proxy's own balancer over the whole xDS: subsets, localities, ServiceEntries, what a Sidecar lets out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { compile, findListener } from '#engine'
import { explain } from '#insight'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { UpstreamCluster } from '../../src/data-plane/proxy/upstream-cluster.ts'
import { configOf } from '../golden/golden-case.ts'

type Obj = Record<string, unknown>
const object = (apiVersion: string, kind: string, namespace: string, name: string, spec: Obj): Obj => ({ apiVersion, kind, metadata: { name, namespace, creationTimestamp: '2026-01-01T00:00:00Z' }, spec })
const pod = (name: string, labels: Obj): Obj => object('apps/v1', 'Deployment', 'foo', name, { replicas: 1, selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web', ...labels } }, spec: { containers: [{ name: 'web', image: 'web' }] } } })
const host = 'web.foo.svc.cluster.local'
const outside = 'files.example.com'

const places = fc.constantFrom('', 'r1.a', 'r1.b', 'r2.a')
const version = fc.constantFrom('v1', 'v2')
const workloads = fc.array(fc.record({ place: places, version }), { minLength: 1, maxLength: 5 }).map((all) => all.map((w, i) => pod(`web-${i}`, { version: w.version, ...(w.place === '' ? {} : { 'istio-locality': w.place }) })))
const localities = fc.constantFrom({}, { localityLbSetting: { enabled: false } }, { localityLbSetting: { failover: [{ from: 'r1', to: 'r2' }] } }, { localityLbSetting: { failoverPriority: ['version'] } }, { localityLbSetting: { distribute: [{ from: 'r1/*', to: { 'r1/a': 80, 'r2/*': 20 } }] } })
const policy = fc.record({ locality: localities, outlier: fc.boolean(), balancer: fc.constantFrom('ROUND_ROBIN', 'RANDOM', 'LEAST_REQUEST') })
  .map((p) => ({ loadBalancer: { simple: p.balancer, ...p.locality }, ...(p.outlier ? { outlierDetection: { consecutive5xxErrors: 5 } } : {}) }))
const rule = fc.record({ host: fc.constantFrom(host, outside), policy }).map((r) => object('networking.istio.io/v1', 'DestinationRule', 'foo', `d-${r.host.split('.')[0]}`, { host: r.host, trafficPolicy: r.policy, subsets: [{ name: 'v1', labels: { version: 'v1' } }] }))
const virtual = fc.record({ host: fc.constantFrom(host, outside), subset: fc.boolean(), split: fc.boolean() }).map((v) => object('networking.istio.io/v1', 'VirtualService', 'foo', `v-${v.host.split('.')[0]}`, {
  hosts: [v.host], http: [{ route: [{ destination: { host: v.host, ...(v.subset ? { subset: 'v1' } : {}) }, weight: 70 }, { destination: { host: v.split ? outside : host }, weight: 30 }] }],
}))
const entry = fc.record({ places: fc.array(fc.record({ place: places, version, weight: fc.constantFrom(1, 3) }), { maxLength: 4 }), location: fc.constantFrom('MESH_EXTERNAL', 'MESH_INTERNAL') }).map((e) => object('networking.istio.io/v1', 'ServiceEntry', 'foo', 'files', {
  hosts: [outside], location: e.location, resolution: 'STATIC', ports: [{ number: 8000, name: 'http', protocol: 'HTTP' }],
  endpoints: e.places.map((p, i) => ({ address: `192.0.2.${i + 1}`, weight: p.weight, labels: { version: p.version }, ...(p.place === '' ? {} : { locality: p.place.replace('.', '/') }) })),
}))
const egress = fc.constantFrom([], ['./*'], ['*/*'], ['./web.foo.svc.cluster.local'], ['bar/*']).map((hosts) => (hosts.length === 0 ? [] : [object('networking.istio.io/v1', 'Sidecar', 'foo', 'default', { egress: [{ hosts }] })]))
const drawn = fc.tuple(workloads, fc.array(rule, { maxLength: 2 }), fc.array(virtual, { maxLength: 2 }), fc.option(entry), egress).map(([w, r, v, e, s]) => [...new Map([...w, ...r, ...v, ...(e === null ? [] : [e]), ...s].map((o) => [`${String(o['kind'])}/${canonicalJson(o['metadata'])}`, o])).values()])

const base = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
  object('apps/v1', 'Deployment', 'foo', 'sleep', { template: { metadata: { labels: { app: 'sleep', version: 'v1', 'istio-locality': 'r1.a' } }, spec: { containers: [{ name: 'sleep', image: 'sleep' }] } } }),
  object('v1', 'Service', 'foo', 'web', { selector: { app: 'web' }, ports: [{ name: 'http', port: 8000 }] }),
]
const meshOf = (objects: readonly Obj[]): Mesh => buildMesh(decodeObjects(parseYaml([...base, ...objects].map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)

test('the endpoints that explain gives a share are those that the proxy picks, and no others', () => {
  let standing = 0
  let several = 0
  fc.assert(fc.property(drawn, fc.constantFrom(host, outside), (objects, to) => {
    const mesh = meshOf(objects)
    const answer = explain(mesh, { from: 'sleep.foo', to: `http://${to}:8000/` })
    const { config, errors } = compile(configOf(mesh, 'sleep.foo').resources)
    assert.deepEqual(errors, [])
    const known = findListener(config, false, { address: '203.0.113.9', port: 8000 }) !== undefined
    if (!known) return
    const ends = answer.endpoints.length > 0 ? answer.endpoints : [answer]
    const destinations = new Set(ends.flatMap(({ client: { destination: d } }) => (d === null ? [] : [`outbound|${d.port}|${d.subset ?? ''}|${d.host}`])))
    const picked = new Set<string>()
    for (const name of destinations) {
      const cluster = config.clusters.get(name)
      if (cluster === undefined || cluster.discovery === 'ORIGINAL_DST') continue
      const balancer = new UpstreamCluster({ ...cluster, lbPolicy: 'RANDOM' })
      balancer.setEndpoints(cluster.inline?.all ?? config.endpoints.get(cluster.edsName)?.all ?? [])
      // The smallest share is 20 % of a quarter: missed once in 10⁹ draws of these.
      for (let i = 0; i < 400; i++) {
        const one = balancer.pick(undefined, undefined)
        if (one !== undefined) picked.add(one.key)
      }
    }
    if (destinations.size === 0) return
    assert.deepEqual([...new Set(answer.spread.filter((s) => s.share > 0).map((s) => s.address))].sort(), [...picked].sort())
    if (answer.spread.length > 0) assert.ok(Math.abs(answer.spread.reduce((sum, s) => sum + s.share, 0) + ends.filter((e) => 'share' in e && e.address === '').reduce((sum, e) => sum + (e as { share: number }).share, 0) - 1) < 1e-9)
    standing += answer.spread.filter((s) => s.share === 0).length
    if (picked.size > 1) several++
  }), { numRuns: 250 })
  assert.ok(standing > 10 && several > 10, `${standing} stand by, ${several} with several`)
})

test('what a Sidecar lets out has a cluster in the xDS; what it does not has none, and explain says unknown', () => {
  const seen = new Set<boolean>()
  fc.assert(fc.property(drawn, fc.constantFrom(host, outside), (objects, to) => {
    const mesh = meshOf(objects.filter((o) => o['kind'] !== 'VirtualService'))
    const answer = explain(mesh, { from: 'sleep.foo', to: `http://${to}:8000/` })
    const { config } = compile(configOf(mesh, 'sleep.foo').resources)
    const out = config.clusters.has(`outbound|8000||${to}`)
    seen.add(out)
    assert.equal(answer.client.destination?.host, out ? to : undefined, answer.client.route.value.rule)
  }), { numRuns: 150 })
  assert.equal(seen.size, 2)
})
