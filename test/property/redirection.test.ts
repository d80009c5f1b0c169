// What explain says of redirection is what the pod's rules do: the injector's arguments, printed as iptables'
// rules and read by another reader, against the answer for the pod as written and as injected.
import assert from 'node:assert/strict'
import { isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse, stringify } from 'yaml'
import { createInjector, injectObject } from '#inject'
import { explain } from '#insight'
import { interceptionRules, readRedirectCommand } from '#interception'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { formatIptables } from '#redirect'
import { redirectedBy, type Packet } from '../fixtures/iptables-reader.ts'

type Obj = Record<string, unknown>
const yaml = { parse: (t: string) => parse(t) as unknown, print: (v: unknown) => stringify(v) }
const p = 'traffic.sidecar.istio.io/'

const ranges = fc
  .array(
    fc.constantFrom(
      '10.96.0.0/16',
      '10.0.0.0/8',
      '192.0.2.0/24',
      '198.51.100.7/32',
      '0.0.0.0/0',
      'fd00::/8',
      '::/0',
    ),
    { maxLength: 2 },
  )
  .map((l) => l.join(','))
const ports = fc
  .array(fc.constantFrom('80', '8000', '9000', '15020', '443'), { maxLength: 2 })
  .map((l) => l.join(','))
const interfaces = fc.constantFrom('net1', 'eth0', 'lo', 'net1,net2')
const annotations = fc.record(
  {
    [`${p}includeOutboundIPRanges`]: fc.oneof(fc.constant('*'), ranges),
    [`${p}excludeOutboundIPRanges`]: ranges,
    [`${p}includeOutboundPorts`]: ports,
    [`${p}excludeOutboundPorts`]: ports,
    [`${p}includeInboundPorts`]: fc.oneof(fc.constant('*'), ports),
    [`${p}excludeInboundPorts`]: ports,
    [`${p}excludeInterfaces`]: interfaces,
    [`${p}kubevirtInterfaces`]: fc.constantFrom('vm0', 'vm0,vm1'),
    'istio.io/reroute-virtual-interfaces': fc.constantFrom('vm2'),
    'sidecar.istio.io/interceptionMode': fc.constantFrom('REDIRECT', 'TPROXY', 'NONE'),
    'status.sidecar.istio.io/port': fc.constantFrom('0', '9000', '15020'),
    'proxy.istio.io/config': fc.constantFrom(
      'interceptionMode: NONE',
      '{"interceptionMode": "NONE"}',
      'holdApplicationUntilProxyStarts: true',
    ),
  },
  { requiredKeys: [] },
)
const user = fc.record(
  { runAsUser: fc.constantFrom(1337, 1000), runAsGroup: fc.constantFrom(1337, 1000) },
  { requiredKeys: [] },
)
const values = fc.record(
  {
    includeIPRanges: fc.constantFrom('*', '10.96.0.0/16'),
    excludeIPRanges: fc.constantFrom('', '10.96.0.0/16'),
    excludeInboundPorts: fc.constantFrom('', '9000'),
    excludeOutboundPorts: fc.constantFrom('', '8000'),
    includeInboundPorts: fc.constantFrom('*', ''),
  },
  { requiredKeys: [] },
)
const target = fc.record({
  address: fc.constantFrom(
    '10.96.0.7',
    '198.51.100.7',
    '203.0.113.9',
    'fd00::7',
    '2001:db8::9',
    '10.244.0.5',
    'fd00:244::5',
  ),
  port: fc.constantFrom(80, 8000, 9000, 443),
  scheme: fc.constantFrom('tcp', 'tcp', 'http', 'udp'),
})
const drawn = fc.record({ annotations, pod: user, container: user, values, target })
type Drawn = typeof drawn extends fc.Arbitrary<infer T> ? T : never

const own = ['10.244.0.5', 'fd00:244::5']
const template = (d: Drawn): Obj => ({
  metadata: { labels: { app: 'web' }, annotations: d.annotations },
  spec: {
    securityContext: d.pod,
    containers: [
      {
        name: 'web',
        image: 'x',
        securityContext: d.container,
        ports: [{ containerPort: 80 }, { containerPort: 9000 }],
      },
    ],
  },
})
const namespace: Obj = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } },
}
const caller: Obj = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'caller', namespace: 'foo', labels: {} },
  spec: { containers: [{ name: 'c', image: 'x' }] },
}
const injectorValues = (d: Drawn): Obj => ({ global: { proxy: d.values } })
const settings = (d: Drawn): Obj => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'istio-sidecar-injector', namespace: 'istio-system' },
  data: { values: JSON.stringify(injectorValues(d)) },
})
const meshOf = (objects: readonly Obj[]): Mesh =>
  buildMesh(
    decodeObjects(parseYaml(objects.map((o) => JSON.stringify(o)).join('\n---\n'), 'in.yaml').documents)
      .objects,
  )

/** As written: its pod has yet to be made. */
const asWritten = (d: Drawn): Mesh =>
  meshOf([
    namespace,
    caller,
    settings(d),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'foo', ...(template(d)['metadata'] as Obj) },
      spec: template(d)['spec'],
      status: {},
    },
  ])

/** As a cluster runs it: with the init container that the injector added. */
function asInjected(d: Drawn): { readonly mesh: Mesh; readonly args: readonly string[] | undefined } {
  const result = injectObject(
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'foo', ...(template(d)['metadata'] as Obj) },
      spec: template(d)['spec'],
    },
    createInjector({ config: {}, values: injectorValues(d), meshConfig: {}, revision: 'default', yaml }),
  )
  assert.ok(result.kind === 'injected', JSON.stringify(result))
  const { initContainers = [] } = result.object['spec'] as {
    initContainers?: { name: string; args: string[] }[]
  }
  const pod = {
    ...result.object,
    status: { phase: 'Running', podIP: own[0], podIPs: own.map((ip) => ({ ip })) },
  }
  return {
    mesh: meshOf([namespace, caller, pod]),
    args: initContainers.find((c) => c.name === 'istio-init')?.args,
  }
}

/** undefined: no rules at all. */
function redirected(args: readonly string[] | undefined, packet: Packet): number | undefined {
  if (args === undefined) return undefined
  const { options } = readRedirectCommand(args.slice(1), ['ip', 'ip6'])
  return redirectedBy(
    formatIptables(interceptionRules(options), isIPv6(packet.destination) ? 'ip6' : 'ip'),
    packet,
  )
}

const at = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

test('outbound: explain says of each connection what the printed rules do with it', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(drawn, (d) => {
      const { mesh, args } = asInjected(d)
      const { address, port, scheme } = d.target
      const mine = own.includes(address)
      const of = (field: 'runAsUser' | 'runAsGroup'): number => d.container[field] ?? d.pod[field] ?? 0
      const machine = (
        d.annotations['istio.io/reroute-virtual-interfaces'] ?? d.annotations[`${p}kubevirtInterfaces`]
      )?.split(',')[0]
      const arrives = machine !== undefined && !mine
      const packet: Packet = {
        chain: arrives ? 'PREROUTING' : 'OUTPUT',
        protocol: scheme === 'udp' ? 'udp' : 'tcp',
        destination: address,
        port,
        source: mine ? address : '',
        interface: arrives ? machine : mine ? 'lo' : 'eth0',
        uid: of('runAsUser'),
        gid: of('runAsGroup'),
      }
      const expected = redirected(args, packet) === 15001
      const answers = [
        explain(mesh, { from: 'web.foo', to: `${scheme}://${at(address, port)}` }),
        ...(mine ? [] : [explain(asWritten(d), { from: 'web.foo', to: `${scheme}://${at(address, port)}` })]),
      ]
      for (const { client } of answers) {
        assert.equal(client.redirected?.value, expected, JSON.stringify([packet, args, client.redirected]))
        const [reason] = client.redirected?.because ?? []
        seen.add(reason?.rule ?? '')
        if (!expected && client.tls !== null) assert.equal(client.tls.value, 'DISABLE')
        assert.equal(client.identity === null, !expected)
        if (reason?.source !== 'default')
          assert.ok(reason?.source.line !== undefined && reason.source.path !== '', JSON.stringify(reason))
      }
    }),
    { numRuns: 800 },
  )
  assert.deepEqual([...seen].sort(), [
    'capture.include',
    'capture.interface',
    'capture.mode',
    'capture.own-address',
    'capture.port',
    'capture.range',
    'capture.redirected',
    'capture.sidecar-user',
    'capture.udp',
  ])
})

test('inbound: explain says of each port what the printed rules do with it', () => {
  const seen = new Set<string>()
  fc.assert(
    fc.property(drawn, (d) => {
      const { mesh, args } = asInjected(d)
      const { port, scheme } = d.target
      const packet: Packet = {
        chain: 'PREROUTING',
        protocol: scheme === 'udp' ? 'udp' : 'tcp',
        destination: own[0] as string,
        port,
        source: '10.244.0.77',
        interface: 'eth0',
        uid: -1,
        gid: -1,
      }
      const expected = redirected(args, packet) === 15006
      const { server } = explain(mesh, {
        from: 'caller.foo',
        to: `${scheme}://${at(own[0] as string, port)}`,
      })
      assert.equal(server?.redirected?.value, expected, JSON.stringify([packet, args, server?.redirected]))
      seen.add(server?.redirected?.because[0]?.rule ?? '')
      if (!expected) assert.equal(server?.mtls, null)
    }),
    { numRuns: 500 },
  )
  assert.deepEqual([...seen].sort(), ['capture.redirected', 'capture.udp', 'endpoint.not-redirected'])
})
