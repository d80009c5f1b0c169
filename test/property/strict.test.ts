// STRICT means it: whatever the mesh looks like, the xDS of a STRICT port has no chain that takes plaintext, and the engine finds none.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { chooseChain, compile, type RuntimeListener } from '#engine'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { configOf, type ProxyConfig } from '../golden/golden-case.ts'

const mode = fc.constantFrom('STRICT', 'PERMISSIVE', 'DISABLE', 'UNSET')
const portName = fc.constantFrom('http', 'http2-a', 'grpc', 'tcp', 'tls', 'mongo', 'misc', 'https')
const ports = fc.uniqueArray(fc.record({ name: portName, port: fc.integer({ min: 1, max: 9 }) }), { selector: (p) => p.port, minLength: 1, maxLength: 4 })
const policy = fc.record({ scope: fc.constantFrom('mesh', 'namespace', 'workload'), mode, older: fc.boolean(), ports: fc.dictionary(fc.constantFrom('1', '3', '5', '20'), mode, { maxKeys: 2 }) })

interface Shape {
  readonly ports: readonly { name: string; port: number }[]
  readonly policies: readonly { scope: string; mode: string; older: boolean; ports: Record<string, string> }[]
}
const shape: fc.Arbitrary<Shape> = fc.record({ ports, policies: fc.array(policy, { maxLength: 4 }) })

function objects(s: Shape): object[] {
  const labels = { app: 'server' }
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'server', namespace: 'foo' }, spec: { selector: labels, ports: s.ports.map((p) => ({ name: `${p.name}${p.name.includes('-') ? '' : '-x'}${p.port}`, port: p.port })) } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'server', namespace: 'foo' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } } } },
    ...s.policies.map((p, i) => ({
      apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: `p${i}`, namespace: p.scope === 'mesh' ? 'istio-system' : 'foo', creationTimestamp: p.older ? '2020-01-01T00:00:00Z' : '2024-01-01T00:00:00Z' },
      spec: {
        ...(p.scope === 'workload' ? { selector: { matchLabels: labels } } : {}), mtls: { mode: p.mode },
        ...(p.scope === 'workload' && Object.keys(p.ports).length > 0 ? { portLevelMtls: Object.fromEntries(Object.entries(p.ports).map(([port, m]) => [port, { mode: m }])) } : {}),
      },
    })),
  ]
}

function configFor(s: Shape): ProxyConfig {
  const text = objects(s).map((o) => canonicalJson(o)).join('\n---\n')
  return configOf(buildMesh(decodeObjects(parseYaml(text, 'in.yaml').documents).objects), 'server.foo')
}

function inboundOf(config: ProxyConfig): RuntimeListener {
  const { config: runtime, errors } = compile(config.resources)
  assert.deepEqual(errors, [])
  return runtime.listeners.get('virtualInbound') as RuntimeListener
}

test('a STRICT port has chains of TLS alone, and plaintext finds none; the other modes have one for plaintext', () => {
  fc.assert(
    fc.property(shape, (s) => {
      const config = configFor(s)
      const listener = inboundOf(config)
      for (const port of config.plan.inbound) {
        const chains = listener.chains.filter((c) => c.criteria.port === (port.port ?? 0))
        assert.ok(chains.length > 0)
        const number = port.port ?? 4242
        for (const applicationProtocols of [[], ['http/1.1'], ['h2c']]) {
          const chain = chooseChain(listener, { destinationAddress: '10.0.0.1', destinationPort: number, sourceAddress: '10.0.0.2', sourcePort: 1, transportProtocol: 'raw_buffer', serverName: '', applicationProtocols })
          if (port.mtls.value === 'STRICT') assert.equal(chain, undefined)
          else assert.equal(chain?.tls, null, `${port.port} ${port.protocol} ${port.mtls.value}`)
        }
        if (port.mtls.value !== 'STRICT') continue
        for (const { chain, criteria } of chains) {
          assert.equal(criteria.transport, 'tls')
          assert.equal(chain.tls?.requireClientCertificate, true)
        }
      }
    }),
    { numRuns: 150 },
  )
})

test('the port that connections are redirected to loops nowhere', () => {
  fc.assert(
    fc.property(shape, (s) => {
      const chain = chooseChain(inboundOf(configFor(s)), { destinationAddress: '10.0.0.1', destinationPort: 15006, sourceAddress: '10.0.0.2', sourcePort: 1, transportProtocol: 'raw_buffer', serverName: '', applicationProtocols: [] })
      assert.equal(chain?.name, 'virtualInbound-blackhole')
    }),
    { numRuns: 20 },
  )
})
