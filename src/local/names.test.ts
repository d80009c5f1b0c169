import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decode, type ApiObject } from '#api'
import { buildMesh } from '#mesh'
import { parseYaml } from '#sources'
import { resolvConf, resolveName, type Names } from './names.ts'
import { serviceRules } from './service-rules.ts'

const pod = (name: string, ip: string, ready = true, more = ''): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: ${name}, namespace: foo, labels: {app: web}}\nspec: {containers: []${more}}\nstatus: {podIP: ${ip}, phase: Running, conditions: [{type: Ready, status: "${ready ? 'True' : 'False'}"}]}\n---\n`
const service = (name: string, spec: string): string => `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: foo}\nspec: {${spec}}\n---\n`
const text = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: foo}\n---\n' + pod('web-0', '10.244.0.9') + pod('web-1', '10.244.0.10') + pod('web-2', '10.244.0.11', false) +
  service('web', 'clusterIP: 10.96.0.7, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: dns, port: 53, protocol: UDP}]') +
  service('all', 'clusterIP: None, selector: {app: web}, ports: [{name: tcp, port: 9000}]') + service('elsewhere', 'type: ExternalName, externalName: outside.example.com') + service('nobody', 'clusterIP: 10.96.0.8, selector: {app: none}, ports: [{port: 80}]')
const objects: ApiObject[] = parseYaml(text, 'f').documents.flatMap((d) => decode(d.value, d.origin).object ?? [])
const names: Names = { mesh: buildMesh(objects), external: new Map([['outside.example.com', '203.0.113.10']]), controlPlane: '10.244.0.1', hostnames: new Map([['web-0.foo', 'web-0'], ['web-1.foo', 'web-1']]) }
const ask = (name: string, type: 'A' | 'AAAA' | 'SRV' = 'A') => resolveName(names, { name, type })
const data = (name: string, type: 'A' | 'AAAA' | 'SRV' = 'A') => ask(name, type).answers.map((a) => ('data' in a ? a.data : undefined))

test('names of services, of their members, of the outside', () => {
  const cases: [string, unknown[]][] = [
    ['web.foo.svc.cluster.local', ['10.96.0.7']],
    ['WEB.foo.svc.cluster.local.', ['10.96.0.7']],
    ['all.foo.svc.cluster.local', ['10.244.0.10', '10.244.0.9']],
    ['web-0.all.foo.svc.cluster.local', ['10.244.0.9']],
    ['10-244-0-10.all.foo.svc.cluster.local', ['10.244.0.10']],
    ['10-244-0-10.foo.pod.cluster.local', ['10.244.0.10']],
    ['elsewhere.foo.svc.cluster.local', ['outside.example.com', '203.0.113.10']],
    ['outside.example.com', ['203.0.113.10']],
    ['istiod.istio-system.svc.cluster.local', ['10.244.0.1']],
  ]
  for (const [name, expected] of cases) assert.deepEqual(data(name).sort(), [...expected].sort(), name)
})

test('no such name, and names without such a record', () => {
  for (const name of ['nowhere.foo.svc.cluster.local', 'web.bar.svc.cluster.local', 'web.foo', 'example.com', 'web-7.all.foo.svc.cluster.local', '10-9-9-9.foo.pod.cluster.local', 'a.b.c.web.foo.svc.cluster.local']) assert.equal(ask(name).known, false, name)
  assert.deepEqual([ask('web.foo.svc.cluster.local', 'AAAA').known, data('web.foo.svc.cluster.local', 'AAAA')], [true, []])
})

test('SRV records name a service’s port', () => {
  assert.deepEqual(data('_http._tcp.web.foo.svc.cluster.local', 'SRV'), [{ port: 80, target: 'web.foo.svc.cluster.local', priority: 0, weight: 0 }])
  assert.equal(ask('_http._udp.web.foo.svc.cluster.local', 'SRV').known, false)
  assert.equal(data('_tcp._tcp.all.foo.svc.cluster.local', 'SRV').length, 2)
})

test('resolv.conf as kubelet writes it', () => {
  assert.equal(resolvConf('foo', '10.244.0.1', 'cluster.local'), 'search foo.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.244.0.1\noptions ndots:5\n')
})

test('a virtual address leads to each ready endpoint with equal chance; none without one', () => {
  const table = serviceRules(names.mesh)
  const [http, dns] = table.chains
  assert.deepEqual(http?.rules, [
    { match: [{ match: 'protocol', protocol: 'tcp' }, { match: 'chance', of: 2 }], statements: [{ do: 'dnat', address: '10.244.0.10', port: 8080 }] },
    { match: [{ match: 'protocol', protocol: 'tcp' }], statements: [{ do: 'dnat', address: '10.244.0.9', port: 8080 }] },
  ])
  assert.deepEqual(dns?.rules[0]?.match[0], { match: 'protocol', protocol: 'udp' })
  const jumps = table.chains.find((c) => c.name === 'services')?.rules ?? []
  assert.deepEqual(jumps.map((r) => r.match[0]), [{ match: 'destination', cidr: '10.96.0.7' }, { match: 'destination', cidr: '10.96.0.7' }])
})
