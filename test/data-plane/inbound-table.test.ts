// The truth table of inbound chains (reference: Istio's TestInbound, 23 calls × 3 modes), driven through compile and filter-chain match:
// once over chains written by hand, once over what #generate makes of a plan.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseChain, compile, type CompileInput, type RuntimeListener } from '#engine'
import { generate } from '#generate'
import { byDefault } from '#lib/decided.ts'
import type { ProxyPlan } from '#plan'
import { inboundResources, type Mode } from './resources.ts'

type Call = 'tcp' | 'http' | 'h2c' | 'tls' | 'https' | 'mtls-tcp' | 'mtls-http'
type Outcome = 'opaque' | 'http' | 'terminated tcp' | 'terminated http' | 'no chain' | 'mtls error' | 'protocol error'

const modes: readonly Mode[] = ['DISABLE', 'PERMISSIVE', 'STRICT']
const calls: readonly (readonly [number, Call, Outcome, Outcome, Outcome])[] = [
  [70, 'tcp', 'opaque', 'opaque', 'no chain'],
  [70, 'http', 'opaque', 'opaque', 'no chain'],
  [70, 'tls', 'opaque', 'opaque', 'mtls error'],
  [70, 'https', 'opaque', 'opaque', 'mtls error'],
  [70, 'mtls-tcp', 'opaque', 'terminated tcp', 'terminated tcp'],
  [70, 'mtls-http', 'opaque', 'terminated tcp', 'terminated tcp'],
  [80, 'http', 'http', 'http', 'no chain'],
  [80, 'tcp', 'protocol error', 'protocol error', 'no chain'],
  [80, 'tls', 'protocol error', 'no chain', 'mtls error'],
  [80, 'https', 'protocol error', 'no chain', 'mtls error'],
  [80, 'mtls-http', 'protocol error', 'terminated http', 'terminated http'],
  [81, 'http', 'http', 'http', 'no chain'],
  [81, 'h2c', 'http', 'http', 'no chain'],
  [81, 'tcp', 'opaque', 'opaque', 'no chain'],
  [81, 'tls', 'opaque', 'opaque', 'mtls error'],
  [81, 'https', 'opaque', 'opaque', 'mtls error'],
  [81, 'mtls-tcp', 'opaque', 'terminated tcp', 'terminated tcp'],
  [81, 'mtls-http', 'opaque', 'terminated http', 'terminated http'],
  [82, 'http', 'http', 'http', 'no chain'],
  [82, 'tcp', 'opaque', 'opaque', 'no chain'],
  [82, 'tls', 'opaque', 'opaque', 'mtls error'],
  [82, 'https', 'opaque', 'opaque', 'mtls error'],
  [82, 'mtls-tcp', 'opaque', 'terminated tcp', 'terminated tcp'],
]

const alpn: Readonly<Record<Call, readonly string[]>> = { tcp: [], http: ['http/1.1'], h2c: ['h2c'], tls: [], https: ['h2', 'http/1.1'], 'mtls-tcp': ['istio'], 'mtls-http': ['istio-http/1.1', 'istio', 'http/1.1'] }

function outcome(listener: RuntimeListener, port: number, call: Call): Outcome {
  const encrypted = call.includes('tls') || call === 'https'
  const seesTls = listener.tlsInspector?.(port) === true
  const seesHttp = listener.httpInspector?.(port) === true
  const chain = chooseChain(listener, {
    destinationAddress: '10.244.0.5',
    destinationPort: port,
    sourceAddress: '10.244.0.9',
    sourcePort: 40000,
    serverName: '',
    transportProtocol: encrypted && seesTls ? 'tls' : 'raw_buffer',
    applicationProtocols: encrypted ? (seesTls ? alpn[call] : []) : seesHttp ? alpn[call] : [],
  })
  if (chain === undefined) return 'no chain'
  const { kind } = chain.terminal
  if (chain.tls !== null) {
    if (!call.startsWith('mtls')) return 'mtls error'
    if (kind === 'http') return call === 'mtls-http' ? 'terminated http' : 'protocol error'
    return 'terminated tcp'
  }
  if (kind === 'tcp') return 'opaque'
  return call === 'http' || call === 'h2c' ? 'http' : 'protocol error'
}

function byHand(mode: Mode): readonly CompileInput[] {
  return inboundResources([{ port: 70, kind: 'tcp', mode }, { port: 80, kind: 'http', mode }, { port: 81, kind: 'auto', mode }], mode)
}

function byPlan(mode: Mode): readonly CompileInput[] {
  const mtls = byDefault(mode, 'mtls.default')
  const plan: ProxyPlan = {
    proxy: { id: 'httpbin-1.bar', namespace: 'bar', pod: 'httpbin-1', workload: 'httpbin', serviceAccount: 'httpbin', identity: 'spiffe://cluster.local/ns/bar/sa/httpbin', labels: {}, addresses: ['10.244.0.5'] },
    mesh: { trustDomain: 'cluster.local', trustDomainAliases: [], accessLogFile: '/dev/stdout', minTlsVersion: 'TLSV1_2', cipherSuites: [], protocolDetectionTimeoutMs: 0, connectTimeoutMs: 10_000, tlsByAddress: true, sidecarPorts: [], domain: 'cluster.local' },
    inbound: [
      { port: 70, protocol: 'tcp', mtls, cluster: 'inbound|70||' },
      { port: 80, protocol: 'http', mtls, cluster: 'inbound|80||' },
      { port: 81, protocol: 'auto', mtls, cluster: 'inbound|81||' },
      { port: null, protocol: 'auto', mtls, cluster: 'InboundPassthroughCluster' },
    ],
    outbound: [],
    routeTables: [],
    upstreams: [],
    egress: byDefault('ALLOW_ANY', 'egress.default'), passthrough: [],
    problems: [],
  }
  return generate(plan)
}

for (const [source, make] of [['by hand', byHand], ['from a plan', byPlan]] as const) {
  modes.forEach((mode, column) => {
    test(`inbound chains ${source}, ${mode}`, () => {
      const { config, errors, unserved } = compile(make(mode))
      assert.deepEqual(errors, [])
      assert.deepEqual(unserved, [])
      const listener = config.listeners.get('virtualInbound')
      assert.ok(listener)
      const wrong = calls.filter(([port, call, ...want]) => outcome(listener, port, call) !== want[column]).map(([port, call, ...want]) => `${call} → ${port}: ${outcome(listener, port, call)}, not ${want[column]}`)
      assert.deepEqual(wrong, [])
    })
  })
}
