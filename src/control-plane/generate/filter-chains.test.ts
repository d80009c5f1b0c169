// Istio's table of inbound chains (istio/istio filterchain_options.go), row by row; and outbound chains that never overlap.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { byDefault } from '#lib/decided.ts'
import type { InboundPort, MtlsMode, PortProtocol, ProxyPlan, TcpRoute } from '#plan'
import { chainsOf, outboundTcpChains } from './filter-chains.ts'

function port(mode: MtlsMode, protocol: PortProtocol, number: number | null = 80): InboundPort {
  return { port: number, protocol, mtls: byDefault(mode, 'mtls.default'), cluster: 'inbound|80||' }
}

/** `tls[istio …] → http (mtls)` */
function rows(mode: MtlsMode, protocol: PortProtocol, number?: number | null): string[] {
  return chainsOf(port(mode, protocol, number)).map((c) => {
    const alpn = c.match['applicationProtocols']
    return `${c.match['transportProtocol']}${alpn === undefined ? '' : `[${(alpn as string[]).join(' ')}]`} → ${c.kind}${c.mtls ? ' (mtls)' : ''}`
  })
}

const http = 'istio-http/1.0 istio-http/1.1 istio-h2'
const tcp = 'istio-peer-exchange istio'
const all = `${tcp} ${http}`
const table: readonly [MtlsMode, readonly PortProtocol[], readonly string[]][] = [
  ['STRICT', ['http', 'http2', 'grpc'], ['tls → http (mtls)']],
  ['STRICT', ['tcp', 'tls'], ['tls → tcp (mtls)']],
  ['STRICT', ['auto'], [`tls[${http}] → http (mtls)`, 'tls → tcp (mtls)']],
  ['PERMISSIVE', ['http', 'http2', 'grpc'], [`tls[${all}] → http (mtls)`, 'raw_buffer → http']],
  ['PERMISSIVE', ['tcp', 'tls'], [`tls[${all}] → tcp (mtls)`, 'tls → tcp', 'raw_buffer → tcp']],
  ['PERMISSIVE', ['auto'], [`tls[${http}] → http (mtls)`, 'raw_buffer[http/1.1 h2c] → http', `tls[${tcp}] → tcp (mtls)`, 'raw_buffer → tcp', 'tls → tcp']],
  ['DISABLE', ['http', 'http2', 'grpc'], ['raw_buffer → http']],
  ['DISABLE', ['tcp', 'tls'], ['raw_buffer → tcp']],
  ['DISABLE', ['auto'], ['raw_buffer[http/1.1 h2c] → http', 'raw_buffer → tcp']],
]

for (const [mode, protocols, expected] of table) {
  test(`${mode}, ${protocols.join(' ')}`, () => {
    for (const protocol of protocols) assert.deepEqual(rows(mode, protocol), expected)
  })
}

test('ports without an entry of their own are looked into, whatever they carry', () => {
  for (const mode of ['STRICT', 'PERMISSIVE', 'DISABLE'] as const) assert.deepEqual(rows(mode, 'tcp', null), rows(mode, 'auto'))
})

const plan = { mesh: { accessLogFile: '' }, upstreams: [] } as unknown as ProxyPlan
function matches(...routes: readonly TcpRoute['match'][]): unknown[] {
  return outboundTcpChains(plan, routes.map((match) => ({ match, targets: [{ upstream: 'a', weight: 1 }], because: byDefault('', 'route.default') }))).map((c) => c['filterChainMatch'] ?? 'any')
}
const range = (addressPrefix: string, prefixLen: number) => ({ addressPrefix, prefixLen })

test('outbound: what an earlier route has taken, a later one loses', () => {
  assert.deepEqual(matches({}, {}), ['any'])
  assert.deepEqual(matches({ sniHosts: ['a.io'] }, { sniHosts: ['a.io', 'b.io'] }, {}), [{ serverNames: ['a.io'] }, { serverNames: ['b.io'] }, 'any'])
  assert.deepEqual(matches({ destinationSubnets: ['10.0.0.0/8'] }, { destinationSubnets: ['192.0.2.1', '10.0.0.0/8'] }), [{ prefixRanges: [range('10.0.0.0', 8)] }, { prefixRanges: [range('192.0.2.1', 32)] }])
  assert.deepEqual(matches({ sniHosts: ['a.io'], destinationSubnets: ['10.0.0.0/8'] }, { sniHosts: ['a.io', 'b.io'], destinationSubnets: ['10.0.0.0/8', '2001:db8::1'] }), [
    { serverNames: ['a.io'], prefixRanges: [range('10.0.0.0', 8)] },
    { serverNames: ['a.io'], prefixRanges: [range('2001:db8::1', 128)] },
    { serverNames: ['b.io'], prefixRanges: [range('10.0.0.0', 8), range('2001:db8::1', 128)] },
  ])
})

test('outbound: server names as Envoy takes them', () => {
  assert.deepEqual(matches({ sniHosts: ['A.io', '*.b.io', '*c.io', 'a.io'] }), [{ serverNames: ['a.io', '*.b.io'] }])
  assert.deepEqual(matches({ sniHosts: ['*', 'a.io'] }), ['any'])
  assert.deepEqual(matches({ sniHosts: ['*c.io'] }), [])
})
