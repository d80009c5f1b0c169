import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HttpMatchSpec, L4MatchSpec } from '#api'
import type { Workload } from '#mesh'
import { httpClauseFailed, l4ClauseFailed } from './clauses.ts'
import type { RequestFacts } from './route.ts'

const client = { name: 'web', namespace: 'foo', labels: { app: 'web' } } as unknown as Workload
const request: RequestFacts = { authority: 'a.example.com', path: '/v1/x?a=2&b=', method: 'GET', scheme: 'http', headers: { 'X-A': ['1'] } }

const rows: readonly (readonly [HttpMatchSpec, string | undefined])[] = [
  [{}, undefined],
  [{ uri: { exact: '/v1/x' }, method: { exact: 'GET' }, scheme: { exact: 'http' }, authority: { prefix: 'a.' }, headers: { 'x-a': { exact: '1' } }, queryParams: { a: { exact: '2' } } }, undefined],
  [{ uri: { exact: '/v1' } }, 'path "/v1/x" is not "/v1"'],
  [{ uri: { prefix: '/v2' } }, 'path "/v1/x" does not begin with "/v2"'],
  [{ uri: { regex: '/v[0-9]' } }, 'path "/v1/x" is not, as a whole, what the regular expression "/v[0-9]" describes'],
  [{ uri: { regex: '/v[0-9]/.' } }, undefined],
  [{ uri: { prefix: '/V1' } }, 'path "/v1/x" does not begin with "/V1"'],
  [{ uri: { prefix: '/V1' }, ignoreUriCase: true }, undefined],
  [{ scheme: { exact: 'https' } }, 'scheme "http" is not "https"'],
  [{ method: { exact: 'POST' } }, 'method "GET" is not "POST"'],
  [{ authority: { prefix: 'b' } }, 'authority "a.example.com" does not begin with "b"'],
  [{ headers: { 'x-b': { exact: '1' } } }, 'header x-b is missing'],
  [{ headers: { 'x-a': { exact: '2' } } }, 'header x-a "1" is not "2"'],
  [{ headers: { 'x-a': {} } }, undefined],
  [{ withoutHeaders: { 'x-a': { exact: '1' } } }, 'header x-a is there, and withoutHeaders rules it out'],
  [{ withoutHeaders: { 'x-a': { exact: '2' } } }, undefined],
  [{ withoutHeaders: { 'x-b': {} } }, undefined],
  [{ queryParams: { a: { exact: '1' } } }, 'query parameter a "2" is not "1"'],
  [{ queryParams: { c: { regex: '*' } } }, 'query parameter c is missing'],
  [{ queryParams: { b: { regex: '*' } } }, undefined],
  [{ port: 9000 }, 'port 8000 is not 9000'],
  [{ sourceLabels: { app: 'other' } }, 'sourceLabels: the caller\'s app is "web", not "other"'],
  [{ sourceNamespace: 'bar' }, "sourceNamespace: the caller's is foo, not bar"],
  [{ gateways: ['gw'] }, 'it is for the gateways gw, not for the mesh'],
  [{ gateways: ['mesh'], sourceLabels: { app: 'other' } }, undefined],
]

test('the clause that does not hold, in a sentence', () => {
  for (const [match, expected] of rows) assert.equal(httpClauseFailed(match, client, 8000, request), expected, JSON.stringify(match))
})

test('of tcp and tls rules: subnets and server names too', () => {
  const table: readonly (readonly [L4MatchSpec & { sniHosts?: string[] }, string | undefined, string | undefined, string | undefined])[] = [
    [{ destinationSubnets: ['10.0.0.0/8'] }, '10.1.2.3', undefined, undefined],
    [{ destinationSubnets: ['10.0.0.0/8', '192.0.2.7'] }, '192.0.2.7', undefined, undefined],
    [{ destinationSubnets: ['10.0.0.0/8', 'fd00::/8'] }, '192.0.2.7', undefined, 'destinationSubnets: 192.0.2.7 is in none of 10.0.0.0/8, fd00::/8'],
    [{ destinationSubnets: ['fd00::/8'] }, 'fd00::1', undefined, undefined],
    [{ destinationSubnets: ['10.0.0.0/8'] }, undefined, undefined, 'destinationSubnets: the address of this call is not known here, and 10.0.0.0/8 are asked for'],
    [{ sniHosts: ['*.example.com'] }, '10.0.0.1', 'a.example.com', undefined],
    [{ sniHosts: ['*.example.com', 'b.org'] }, '10.0.0.1', 'c.org', 'sniHosts: the server name c.org is none of *.example.com, b.org'],
    [{ sniHosts: ['b.org'] }, '10.0.0.1', undefined, 'sniHosts: the application speaks no TLS, so that there is no server name'],
    [{ sniHosts: ['b.org'] }, '10.0.0.1', '', 'sniHosts: the application’s TLS names no server'],
    [{ sniHosts: ['b.org'], port: 443 }, '10.0.0.1', 'b.org', 'port 8000 is not 443'],
    [{ gateways: ['gw'], sniHosts: ['b.org'] }, '10.0.0.1', 'b.org', 'it is for the gateways gw, not for the mesh'],
    [{ sourceNamespace: 'bar' }, '10.0.0.1', 'b.org', "sourceNamespace: the caller's is foo, not bar"],
  ]
  for (const [match, address, serverName, expected] of table) assert.equal(l4ClauseFailed(match, client, 8000, { address, serverName }), expected, JSON.stringify(match))
})
