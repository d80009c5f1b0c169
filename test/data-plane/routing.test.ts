// Routes at work: rewrites, redirects, headers, weights, timeouts, retries, RBAC, TLS to servers outside; and what admin shows.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createHttpsServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { JsonObject } from '@bufbuild/protobuf'
import { startProxy } from '#proxy'
import { Secret } from '#lib/secret.ts'
import { createAuthority } from './authority.ts'
import { identity, listenOn, recordingLog, startPair, vip } from './pair.ts'
import { hcm, inboundResources, istioHttpAlpn, rawBuffer, resource } from './resources.ts'
import { exchange, httpApp, intercepted, until, whole } from './talk.ts'

const get = (path: string, extra = '') => `GET ${path} HTTP/1.1\r\nhost: httpbin.bar:8000\r\n${extra}\r\n`

test('routes: rewrite, redirect, headers, direct answers, weights, time-outs, retries', async () => {
  let tries = 0
  const app = await httpApp((req, res) => {
    if (req.url === '/slow') setTimeout(() => res.end('late'), 2000).unref()
    else if (req.url === '/flaky') res.writeHead(++tries < 3 ? 503 : 200).end(String(tries))
    else {
      res.setHeader('x-drop', '1')
      res.end(JSON.stringify({ url: req.url, ...req.headers }))
    }
  })
  const cluster = `outbound|8000||httpbin.bar.svc.cluster.local`
  const to = (match: JsonObject, route: JsonObject, more: JsonObject = {}): JsonObject => ({ match, route: { cluster, timeout: '0s', ...route }, typedPerFilterConfig: istioHttpAlpn, ...more })
  const routes = [
    to({ prefix: '/old/' }, { prefixRewrite: '/new/', hostRewriteLiteral: 'other.example' }),
    to({ prefix: '/re' }, { regexRewrite: { pattern: { regex: '^/re/([a-z]+)' }, substitution: '/\\1/x' } }),
    { match: { prefix: '/go' }, redirect: { pathRedirect: '/there', responseCode: 'TEMPORARY_REDIRECT' } },
    { match: { prefix: '/direct' }, directResponse: { status: 418, body: { inlineString: 'teapot' } } },
    to({ prefix: '/headers' }, {}, {
      requestHeadersToAdd: [{ header: { key: 'x-set', value: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' }, appendAction: 'OVERWRITE_IF_EXISTS_OR_ADD' }, { header: { key: 'x-add', value: 'b' } }],
      requestHeadersToRemove: ['x-gone'],
      responseHeadersToAdd: [{ header: { key: 'x-back', value: 'yes' } }],
      responseHeadersToRemove: ['x-drop'],
    }),
    to({ prefix: '/slow' }, { timeout: '0.2s' }),
    to({ prefix: '/flaky' }, { retryPolicy: { retryOn: '5xx', numRetries: 3, retryBackOff: { baseInterval: '0.001s' } } }),
    to({ prefix: '/abort' }, {}, { typedPerFilterConfig: { 'envoy.filters.http.fault': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault', delay: { fixedDelay: '0.01s', percentage: { numerator: 100 } }, abort: { httpStatus: 555, percentage: { numerator: 1000000, denominator: 'MILLION' } } } } }),
    to({ prefix: '/cors' }, {}, { typedPerFilterConfig: { 'envoy.filters.http.cors': { '@type': 'type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy', allowOriginStringMatch: [{ exact: 'https://good.example' }], allowMethods: 'GET,POST', maxAge: '60', allowCredentials: true, exposeHeaders: 'x-back' } } }),
    to({ prefix: '/nowhere' }, { cluster: 'missing' }),
    to({ prefix: '/' }, {}),
  ]
  const pair = await startPair({ appPort: app.port, outbound: (base) => [{ ...base, routes }] })
  const ask = async (path: string, extra = '') => exchange(await intercepted(pair.proxyPort), get(path, extra), whole)
  try {
    assert.match(await ask('/old/a?b=1'), /"url":"\/new\/a\?b=1".*"host":"other.example".*"x-envoy-original-path":"\/old\/a\?b=1"/)
    assert.match(await ask('/re/abc'), /"url":"\/abc\/x"/)
    assert.match(await ask('/go'), /^HTTP\/1.1 307 [\s\S]*location: http:\/\/httpbin.bar:8000\/there\r\n/)
    assert.match(await ask('/direct'), /^HTTP\/1.1 418 [\s\S]*teapot$/)
    const headers = await ask('/headers', 'x-set: forged\r\nx-add: a\r\nx-gone: 1\r\nX-Envoy-Upstream-Rq-Timeout-Ms: 1\r\n')
    assert.match(headers, /"x-set":"127.0.0.1"/)
    assert.match(headers, /"x-add":"a, b"/)
    assert.doesNotMatch(headers, /x-gone|x-drop|rq-timeout/)
    assert.match(headers, /\r\nx-back: yes\r\n/)
    assert.match(await ask('/slow'), /^HTTP\/1.1 504 [\s\S]*upstream request timeout$/)
    assert.match(await ask('/flaky'), /^HTTP\/1.1 200 [\s\S]*\n3\r\n/)
    assert.match(await ask('/abort'), /^HTTP\/1.1 555 [\s\S]*fault filter abort$/)
    await until(() => pair.clientLog.some((l) => / 555 DI,FI fault_filter_abort /.test(l)), 'the fault in the log')
    assert.match(await ask('/cors', 'origin: https://good.example\r\n'), /^HTTP\/1.1 200 [\s\S]*access-control-allow-origin: https:\/\/good.example\r\naccess-control-allow-credentials: true\r\naccess-control-expose-headers: x-back\r\n/)
    assert.doesNotMatch(await ask('/cors', 'origin: https://good.example.evil\r\n'), /access-control/)
    const preflight = await exchange(await intercepted(pair.proxyPort), get('/cors', 'origin: https://good.example\r\naccess-control-request-method: POST\r\n').replace('GET', 'OPTIONS'), whole)
    assert.match(preflight, /^HTTP\/1.1 200 [\s\S]*access-control-allow-methods: GET,POST\r\naccess-control-max-age: 60\r\n/)
    assert.match(await ask('/nowhere'), /^HTTP\/1.1 503 /)
    await until(() => pair.clientLog.some((l) => / 504 UT response_timeout /.test(l)), 'the time-out in the log')
  } finally {
    await pair.stop()
    app.close()
  }
})

test('TLS to a server outside the mesh: its own CA from a file, SNI and name from the Host', async () => {
  const authority = await createAuthority('outside')
  const cert = await authority.issue([{ type: 'dns', value: 'httpbin.bar' }])
  const folder = mkdtempSync(join(tmpdir(), 'kith-tls-'))
  writeFileSync(join(folder, 'ca.pem'), authority.root)
  const seen: string[] = []
  const server = createHttpsServer({ cert: cert.chain, key: cert.key, SNICallback: (name, done) => {
    seen.push(name)
    done(null)
  } }, (req, res) => res.end(JSON.stringify(req.headers)))
  const port = await listenOn(server)
  const options = { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions', upstreamHttpProtocolOptions: { autoSni: true, autoSanValidation: true }, explicitHttpConfig: { httpProtocolOptions: {} } }
  const simple = (roots: string): JsonObject => ({
    name: 'envoy.transport_sockets.tls',
    typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext', commonTlsContext: { combinedValidationContext: { defaultValidationContext: {}, validationContextSdsSecretConfig: { name: roots, sdsConfig: { ads: {} } } } } },
  })
  try {
    for (const [roots, host, want] of [
      [`file-root:${join(folder, 'ca.pem')}`, 'httpbin.bar', /^HTTP\/1.1 200 /],
      [`file-root:${join(folder, 'ca.pem')}`, vip, /^HTTP\/1.1 503 [\s\S]*unexpected-name: expected 10.96.0.7; presented httpbin.bar/],
      ['file-root:system', 'httpbin.bar', /^HTTP\/1.1 503 [\s\S]*TLS_error/],
      ['file-root:/nowhere/ca.pem', 'httpbin.bar', /^HTTP\/1.1 503 /],
    ] as const) {
      const pair = await startPair({ appPort: 1, outbound: (base) => [{ ...base, endpoints: [{ ip: '127.0.0.1', port, mtls: false }], socket: simple(roots), cluster: { typedExtensionProtocolOptions: { 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': options } }, routes: [{ match: { prefix: '/' }, route: { cluster: `outbound|8000||${base.host}`, timeout: '0s' } }] }] })
      try {
        const answer = await exchange(await intercepted(pair.proxyPort), `GET / HTTP/1.1\r\nhost: ${host}\r\n\r\n`, whole)
        assert.match(answer, want)
        assert.doesNotMatch(answer, /x-envoy-peer-metadata|x-forwarded-client-cert/)
        assert.equal(pair.client.ready(), true)
      } finally {
        await pair.stop()
      }
    }
    assert.ok(seen.includes('httpbin.bar'))
  } finally {
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  }
})

test('RBAC by the identity that TLS has proved; the policy stands in the log', async () => {
  const app = await httpApp((_req, res) => res.end('in'))
  const rules = (principal: string): JsonObject => ({
    name: 'envoy.filters.http.rbac',
    typedConfig: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC',
      rules: { action: 'DENY', policies: { 'ns[bar]-policy[deny-sleep]-rule[0]': { permissions: [{ urlPath: { path: { prefix: '/admin' } } }], principals: [{ authenticated: { principalName: { exact: principal } } }] } } },
    },
  })
  const router: JsonObject = { name: 'envoy.filters.http.router', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' } }
  const pair = await startPair({ appPort: app.port })
  try {
    const listener = (principal: string): JsonObject => ({
      name: 'virtualInbound',
      address: { socketAddress: { address: '0.0.0.0', portValue: 15006 } },
      trafficDirection: 'INBOUND',
      listenerFilters: [{ name: 'tls', typedConfig: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector' } }],
      filterChains: [{ filterChainMatch: { transportProtocol: 'tls' }, filters: [hcm({ httpFilters: [rules(principal), router], routeConfig: { virtualHosts: [{ name: 'in', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'inbound|80||' } }] }] } }, true)], transportSocket: tls }],
    })
    const tls = (await import('./resources.ts')).downstreamTls(['http/1.1'])
    const base = inboundResources([{ port: 80, kind: 'http', mode: 'STRICT' }], 'STRICT').filter((r) => r.name !== 'virtualInbound')
    for (const [principal, path, want] of [['spiffe://cluster.local/ns/foo/sa/sleep', '/admin', 403], ['spiffe://cluster.local/ns/foo/sa/sleep', '/x/../admin', 403], ['spiffe://cluster.local/ns/foo/sa/sleep', '/', 200], ['spiffe://cluster.local/ns/foo/sa/other', '/admin', 200]] as const) {
      assert.deepEqual(pair.server.update([...base, resource('listener', listener(principal))]).errors, [])
      assert.match(await exchange(await intercepted(pair.proxyPort), get(path), whole), new RegExp(`^HTTP/1.1 ${want} `), `${principal} ${path}`)
    }
    await until(() => pair.serverLog.some((l) => l.includes('403 RBAC rbac_access_denied_matched_policy[ns[bar]-policy[deny-sleep]-rule[0]]')), 'the policy in the log')
  } finally {
    await pair.stop()
    app.close()
  }
})

test('a broken resource is refused, the last good one serves on; admin shows no key and answers to loopback names only', async () => {
  const log = recordingLog()
  const proxy = await startProxy({ identity: identity('httpbin', 'bar'), interception: { mode: 'NONE', dialMap: { dial: {}, inbound: [], hosts: {} } }, ports: { admin: 0, prometheus: 0 }, log })
  try {
    const cert = await (await createAuthority()).issue([{ type: 'url', value: 'spiffe://cluster.local/ns/bar/sa/httpbin' }])
    assert.equal(proxy.ready(), false)
    proxy.setSecret('default', { kind: 'certificate', chain: cert.chain, key: new Secret(cert.key) })
    proxy.setSecret('ROOTCA', { kind: 'trust', roots: cert.chain })
    const good = inboundResources([{ port: 80, kind: 'http', mode: 'STRICT' }], 'STRICT')
    assert.deepEqual(proxy.update(good), { errors: [], unserved: [] })
    assert.equal(proxy.ready(), true)
    const broken = resource('listener', { name: 'virtualInbound', address: { socketAddress: { address: '0.0.0.0', portValue: 15006 } }, filterChains: [{ filters: [{ name: 'envoy.filters.network.mystery', typedConfig: rawBuffer['typedConfig'] as JsonObject }] }] })
    const { errors } = proxy.update([...good.filter((r) => r.name !== 'virtualInbound'), broken])
    assert.ok(errors.some((e) => e.message.includes('unknown network filter envoy.filters.network.mystery')))
    const page = async (path: string, headers: Record<string, string> = {}) => (await fetch(`http://127.0.0.1:${proxy.ports.admin}${path}`, { headers })).text()
    const pages = await Promise.all(['/config_dump', '/certs', '/handshakes', '/clusters', '/server_info', '/stats/prometheus', '/logging', '/ready'].map((p) => page(p)))
    const all = pages.join('\n')
    assert.match(all, /"virtualInbound"/)
    assert.match(all, /spiffe:\/\/cluster.local\/ns\/bar\/sa\/httpbin/)
    assert.match(all, /"LIVE"/)
    assert.doesNotMatch(all, /PRIVATE KEY|mystery/)
    assert.ok(!all.includes(cert.key.split('\n')[1] as string))
    assert.equal((await fetch(`http://127.0.0.1:${proxy.ports.prometheus}/config_dump`)).status, 404)
  } finally {
    await proxy.stop()
  }
})
