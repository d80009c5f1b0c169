// What each kind of caller meets at each kind of port, through xDS and the proxy's own engine: Istio's sidecar_simulation_test.go TestInbound, 23 calls in three modes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canonicalJson } from '#lib/canonical.ts'
import { chooseChain, compile, type RuntimeListener } from '#engine'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { configOf } from '../golden/golden-case.ts'

type Mode = 'DISABLE' | 'PERMISSIVE' | 'STRICT'
type Caller = 'tcp' | 'http' | 'h2c' | 'tls' | 'https' | 'mtls-tcp' | 'mtls-http'

interface Call {
  readonly transportProtocol: 'tls' | 'raw_buffer'
  /** What the inspectors would find, where they look. */
  readonly seen: readonly string[]
  readonly http: boolean
  readonly mesh: boolean
}

const callers: Readonly<Record<Caller, Call>> = {
  tcp: { transportProtocol: 'raw_buffer', seen: [], http: false, mesh: false },
  http: { transportProtocol: 'raw_buffer', seen: ['http/1.1'], http: true, mesh: false },
  h2c: { transportProtocol: 'raw_buffer', seen: ['h2c'], http: true, mesh: false },
  tls: { transportProtocol: 'tls', seen: [], http: false, mesh: false },
  https: { transportProtocol: 'tls', seen: ['h2', 'http/1.1'], http: true, mesh: false },
  'mtls-tcp': { transportProtocol: 'tls', seen: ['istio-peer-exchange', 'istio'], http: false, mesh: true },
  'mtls-http': { transportProtocol: 'tls', seen: ['istio-http/1.1', 'istio', 'http/1.1'], http: true, mesh: true },
}

function listenerOf(mode: Mode): RuntimeListener {
  const labels = { app: 'server' }
  const objects = [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'foo', labels: { 'istio-injection': 'enabled' } } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'server', namespace: 'foo' }, spec: { selector: labels, ports: [{ name: 'tcp', port: 70 }, { name: 'http', port: 80 }, { name: 'auto', port: 81 }] } },
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'server', namespace: 'foo' }, spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } } } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'foo' }, spec: { mtls: { mode } } },
  ]
  const mesh = buildMesh(decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects)
  return compile(configOf(mesh, 'server.foo').resources).config.listeners.get('virtualInbound') as RuntimeListener
}

/** What comes of a call: closed for want of a chain, refused in the handshake, garbage to the HTTP parser, or served (as what, and whether the mesh's TLS was ended). */
function meet(listener: RuntimeListener, caller: Caller, port: number): string {
  const call = callers[caller]
  const tlsSeen = listener.tlsInspector?.(port) === true && call.transportProtocol === 'tls'
  const httpSeen = listener.httpInspector?.(port) === true && call.transportProtocol === 'raw_buffer'
  const chain = chooseChain(listener, {
    destinationAddress: '10.0.0.1', destinationPort: port, sourceAddress: '10.0.0.2', sourcePort: 1, serverName: '', transportProtocol: tlsSeen ? 'tls' : 'raw_buffer', applicationProtocols: tlsSeen || httpSeen ? call.seen : [],
  })
  if (chain === undefined) return 'no chain'
  if (chain.tls !== null) {
    if (!call.mesh) return 'mTLS error'
    return chain.terminal.kind === 'http' ? (call.http ? 'http, mTLS' : 'protocol error') : 'tcp, mTLS'
  }
  if (chain.terminal.kind === 'tcp') return 'tcp'
  return call.http && call.transportProtocol === 'raw_buffer' ? 'http' : 'protocol error'
}

/** DISABLE, PERMISSIVE, STRICT. */
const table: readonly [number, readonly Caller[], string, string, string][] = [
  [70, ['tcp', 'http'], 'tcp', 'tcp', 'no chain'],
  [70, ['tls', 'https'], 'tcp', 'tcp', 'mTLS error'],
  [70, ['mtls-tcp', 'mtls-http'], 'tcp', 'tcp, mTLS', 'tcp, mTLS'],
  [80, ['http', 'h2c'], 'http', 'http', 'no chain'],
  [80, ['tcp'], 'protocol error', 'protocol error', 'no chain'],
  [80, ['tls', 'https'], 'protocol error', 'no chain', 'mTLS error'],
  [80, ['mtls-http'], 'protocol error', 'http, mTLS', 'http, mTLS'],
  [81, ['http', 'h2c'], 'http', 'http', 'no chain'],
  [81, ['tcp'], 'tcp', 'tcp', 'no chain'],
  [81, ['tls', 'https'], 'tcp', 'tcp', 'mTLS error'],
  [81, ['mtls-tcp'], 'tcp', 'tcp, mTLS', 'tcp, mTLS'],
  [81, ['mtls-http'], 'tcp', 'http, mTLS', 'http, mTLS'],
  // No Service: passed through to where the caller meant.
  [82, ['http'], 'http', 'http', 'no chain'],
  [82, ['tcp'], 'tcp', 'tcp', 'no chain'],
  [82, ['tls', 'https'], 'tcp', 'tcp', 'mTLS error'],
  [82, ['mtls-tcp'], 'tcp', 'tcp, mTLS', 'tcp, mTLS'],
  [82, ['mtls-http'], 'tcp', 'http, mTLS', 'http, mTLS'],
]

for (const [index, mode] of (['DISABLE', 'PERMISSIVE', 'STRICT'] as const).entries()) {
  const listener = listenerOf(mode)
  for (const [port, who, ...expected] of table) {
    test(`${mode}: ${who.join(', ')} → ${port}: ${expected[index]}`, () => {
      for (const caller of who) assert.equal(meet(listener, caller, port), expected[index], caller)
    })
  }
}
