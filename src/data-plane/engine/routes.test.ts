// Virtual hosts by authority, routes by path, header, query and method, in Envoy's order; tables.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromJson, type JsonObject } from '@bufbuild/protobuf'
import { message, registry } from '#proto'
import type { RouteConfiguration } from '../../../generated/types/envoy/config/route/v3/route_pb.ts'
import { compileRoutes, matchRoute, normalizePath, redirectLocation, type Redirect, type RouteRequest } from './index.ts'

function table(json: JsonObject): ReturnType<typeof compileRoutes> {
  return compileRoutes(fromJson(message<RouteConfiguration>('envoy.config.route.v3.RouteConfiguration'), json, { registry }))
}

function request(authority: string, path: string, headers: Record<string, string> = {}, method = 'GET'): RouteRequest {
  return { authority, path, method, scheme: 'http', header: (name) => headers[name], lines: (name) => [headers[name] ?? []].flat() }
}

const to = (name: string, match: JsonObject): JsonObject => ({ name, match, route: { cluster: name } })

test('virtual hosts: exact, then the longest suffix, then the longest prefix, then any', () => {
  const host = (name: string, ...domains: string[]): JsonObject => ({ name, domains, routes: [to(name, { prefix: '/' })] })
  const { routes, errors } = table({ name: 'r', virtualHosts: [host('exact', 'a.foo.com', 'b.foo.com:8000'), host('suffix', '*.foo.com'), host('longer', '*.a.foo.com'), host('prefix', 'a.*'), host('any', '*')] })
  assert.deepEqual(errors, [])
  for (const [authority, want] of [['a.foo.com', 'exact'], ['A.FOO.com', 'exact'], ['b.foo.com:8000', 'exact'], ['b.foo.com', 'suffix'], ['x.a.foo.com', 'longer'], ['.foo.com', 'any'], ['foo.com', 'any'], ['a.bar', 'prefix'], ['', 'any']] as const) {
    assert.equal(matchRoute(routes, request(authority, '/'), 0)?.virtualHost, want, authority)
  }
})

test('ports of the authority count unless the table ignores them', () => {
  for (const [ignore, authority, want] of [[true, 'a:80', 'a'], [true, '[::1]:80', undefined], [false, 'a:80', undefined], [false, 'a', 'a']] as const) {
    const { routes } = table({ name: 'r', ignorePortInHostMatching: ignore, virtualHosts: [{ name: 'a', domains: ['a'], routes: [to('a', { prefix: '/' })] }] })
    assert.equal(matchRoute(routes, request(authority, '/'), 0)?.virtualHost, want)
  }
})

test('route matches, first one wins', () => {
  const { routes, errors } = table({
    name: 'r',
    virtualHosts: [
      {
        name: 'h',
        domains: ['*'],
        routes: [
          to('exact', { path: '/exact' }),
          to('fold', { path: '/Fold', caseSensitive: false }),
          to('regex', { safeRegex: { regex: '/r/[0-9]+' } }),
          to('separated', { pathSeparatedPrefix: '/sep' }),
          to('header', { prefix: '/h', headers: [{ name: 'X-A', stringMatch: { exact: '1' } }] }),
          to('present', { prefix: '/h', headers: [{ name: 'x-p', presentMatch: true }] }),
          to('without', { prefix: '/h', headers: [{ name: 'x-w', stringMatch: { exact: 'no' }, invertMatch: true, treatMissingHeaderAsEmpty: true }] }),
          to('inverted', { prefix: '/i', headers: [{ name: 'x-w', stringMatch: { exact: 'no' }, invertMatch: true }] }),
          to('query', { prefix: '/q', queryParameters: [{ name: 'a', stringMatch: { exact: 'b c' } }] }),
          to('method', { prefix: '/m', headers: [{ name: ':method', stringMatch: { exact: 'POST' } }] }),
          to('prefix', { prefix: '/p' }),
        ],
      },
    ],
  })
  assert.deepEqual(errors, [])
  const cases: readonly (readonly [RouteRequest, string | undefined])[] = [
    [request('x', '/exact?q'), 'exact'], [request('x', '/exact/'), undefined], [request('x', '/fOLD'), 'fold'], [request('x', '/r/12'), 'regex'], [request('x', '/r/12a'), undefined],
    [request('x', '/sep'), 'separated'], [request('x', '/sep/a'), 'separated'], [request('x', '/separate'), undefined],
    [request('x', '/h', { 'x-a': '1' }), 'header'], [request('x', '/h', { 'x-a': '1,2' }), 'without'], [request('x', '/h', { 'x-p': '' }), 'present'], [request('x', '/h', { 'x-w': 'no' }), undefined], [request('x', '/h', {}), 'without'],
    [request('x', '/i', {}), undefined], [request('x', '/i', { 'x-w': 'yes' }), 'inverted'],
    [request('x', '/q?z=1&a=b%20c'), 'query'], [request('x', '/q?a=b'), undefined], [request('x', '/m', {}, 'POST'), 'method'], [request('x', '/m'), undefined], [request('x', '/pq'), 'prefix'], [request('x', '/'), undefined],
  ]
  for (const [r, want] of cases) assert.equal(matchRoute(routes, r, 0)?.route.name, want, `${r.method} ${r.path}`)
})

test('weighted clusters by pick; nothing for weight 0', () => {
  const clusters = [{ name: 'a', weight: 1 }, { name: 'b', weight: 0 }, { name: 'c', weight: 3 }]
  const { routes } = table({ name: 'r', virtualHosts: [{ name: 'h', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { weightedClusters: { clusters } } }] }] })
  for (const [pick, want] of [[0, 'a'], [0.24, 'a'], [0.25, 'c'], [0.999, 'c']] as const) assert.equal(matchRoute(routes, request('x', '/'), pick)?.cluster, want)
})

test('what is not served is named, what is wrong is an error', () => {
  const { errors, unserved } = table({
    name: 'r',
    virtualHosts: [{ name: 'h', domains: ['*', '*'], routes: [{ match: { safeRegex: { regex: '(' } }, route: { cluster: 'a', hedgePolicy: { hedgeOnPerTryTimeout: true } } }, { match: { prefix: '/' } }] }],
  })
  assert.equal(errors.length, 3)
  assert.deepEqual(unserved.map((u) => u.message), ['virtual_hosts[h].routes[0]: hedge_policy is not served by this proxy'])
})

test('redirects', () => {
  const from = { scheme: 'http', authority: 'a.b:8080', path: '/old/x?q=1' }
  const base: Redirect = { kind: 'redirect', status: 301, stripQuery: false }
  for (const [redirect, want] of [
    [{ ...base, path: '/new' }, 'http://a.b:8080/new?q=1'], [{ ...base, scheme: 'https', port: 443 }, 'https://a.b:443/old/x?q=1'], [{ ...base, host: 'c', stripQuery: true }, 'http://c/old/x'],
    [{ ...base, prefixRewrite: '/new' }, 'http://a.b:8080/new/x?q=1'], [{ ...base, port: 80 }, 'http://a.b:80/old/x?q=1'],
  ] as const) {
    assert.equal(redirectLocation(redirect, from, 4), want)
  }
})

test('one normalisation of paths', () => {
  const rules = { normalizePath: true, mergeSlashes: true, escapedSlashes: 'KEEP' } as const
  for (const [path, want] of [['/a/../b', '/b'], ['/a//b', '/a/b'], ['/%61/%2e%2e/b', '/b'], ['/a%2fb', '/a%2fb'], ['/a\\b', '/a/b'], ['/..', '/'], ['/../a/..;/b', '/b'], ['/a/%2e;x/b', '/a/b'], ['/a/..', '/'], ['/a/.', '/a/'], ['/a?x=/../y', '/a?x=/../y'], ['/%zz', '/%zz'], ['/x%', '/x%'], ['/a"b', '/a%22b'], ['/%00', undefined], ['/a#b', undefined], ['/a?b#c', undefined], ['*#', undefined]] as const) {
    const got = normalizePath(path, rules)
    assert.equal(got.kind === 'path' ? got.path : undefined, want, path)
  }
  assert.equal(normalizePath('/a#b', { normalizePath: false, mergeSlashes: false, escapedSlashes: 'KEEP' }).kind, 'reject')
  assert.equal(normalizePath('/a%2Fb', { ...rules, escapedSlashes: 'REJECT' }).kind, 'reject')
  assert.deepEqual(normalizePath('/a%5c..%2Fb', { ...rules, escapedSlashes: 'FORWARD' }), { kind: 'path', path: '/b' })
})
