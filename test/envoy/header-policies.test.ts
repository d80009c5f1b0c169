// What we generate for conditions on headers, asked of a stock Envoy: as strict as our own sidecar, but where a row of the table says otherwise (docs/compat.md).
// And what a route's match does with several lines of a header: ours is Envoy's.
import assert from 'node:assert/strict'
import { fromJson, type JsonObject } from '@bufbuild/protobuf'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { compileRoutes, matchRoute } from '#engine'
import { message, registry } from '#proto'
import { typeUrls } from '#xds'
import type { RouteConfiguration } from '../../generated/types/envoy/config/route/v3/route_pb.ts'
import { Head } from '../../src/data-plane/proxy/http1/head.ts'
import { RequestView } from '../../src/data-plane/proxy/request-view.ts'
import { headerCases, spec } from '../data-plane/header-cases.ts'
import { policy, policyMesh } from '../data-plane/policy-pod.ts'
import { configOf } from '../golden/golden-case.ts'
import { resourceJson } from '../golden/render.ts'
import { echoBootstrap, echoRoute, tell } from './fixtures/echo-listeners.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'

/** HTTP filters of the pod's port 80 for plaintext, without the router. */
function accessFilters(policies: readonly object[]): JsonObject[] {
  const { resources } = configOf(policyMesh(policies), 'app.foo')
  const inbound = resources.filter((r) => r.type === typeUrls.listener).map(resourceJson).find((l) => l['name'] === 'virtualInbound')
  assert.ok(inbound !== undefined)
  const chain = (inbound['filterChains'] as JsonObject[]).find((c) => c['name'] === 'inbound_80-plaintext-http')
  assert.ok(chain !== undefined)
  const manager = (chain['filters'] as JsonObject[])[0]?.['typedConfig'] as JsonObject
  return (manager['httpFilters'] as JsonObject[]).filter((f) => f['name'] !== 'envoy.filters.http.router')
}

const routeMatches: readonly JsonObject[] = [
  { stringMatch: { exact: 'admin' } }, { stringMatch: { exact: 'admin,user' } }, { stringMatch: { prefix: 'adm' } }, { stringMatch: { safeRegex: { regex: '.*admin.*' } } }, { stringMatch: { safeRegex: { regex: '.' } } },
  { stringMatch: { safeRegex: { regex: 'é' } } }, { stringMatch: { exact: 'é' } }, { presentMatch: true }, { stringMatch: { exact: 'admin' }, invertMatch: true }, { stringMatch: { exact: 'admin' }, invertMatch: true, treatMissingHeaderAsEmpty: true },
]
const routed: readonly (readonly string[])[] = [[], [''], ['admin'], ['admin', 'admin'], ['admin', 'user'], ['user', 'admin'], ['admin,user'], ['user, admin'], ['\xffadmin'], ['\xe9'], ['\xc3\xa9'], ['Admin']]
const headOf = (name: string, lines: readonly string[]): string => `GET / HTTP/1.1\r\nhost: app.foo\r\n${lines.map((l) => `${name}: ${l}\r\n`).join('')}\r\n`

test('a stock Envoy decides by headers as our sidecar does, in policies and in routes', async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'kith-headers-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const routesOf = (match: JsonObject): JsonObject[] => [{ match: { prefix: '/', headers: [{ name: 'x-role', ...match }] }, directResponse: { status: 200 } }, { ...echoRoute, directResponse: { status: 404 } }]
  const { bootstrap, ports } = await echoBootstrap([
    ...headerCases.map(([what, rule]) => ({ name: what, manager: { httpFilters: accessFilters([policy(spec(rule))]) } })),
    ...routeMatches.map((match, i) => ({ name: `route ${i}`, manager: {}, routes: routesOf(match) })),
  ])
  const envoy = await startEnvoy({ binary, folder, name: 'headers', bootstrap })
  t.after(() => envoy.stop())
  for (const [what, rule, rows] of headerCases) {
    const told = await tell(ports.get(what) as number, rows.map(([lines]) => headOf(rule.name, lines)))
    for (const [i, [lines, status, envoys]] of rows.entries()) assert.equal(told[i]?.status, envoys ?? status, `${what}: ${JSON.stringify(lines)}`)
  }
  for (const [i, match] of routeMatches.entries()) {
    const { routes, errors } = compiled(routesOf(match))
    assert.deepEqual(errors, [])
    const told = await tell(ports.get(`route ${i}`) as number, routed.map((lines) => headOf('x-role', lines)))
    for (const [k, lines] of routed.entries()) {
      const head = new Head()
      assert.ok(head.read(Buffer.from(headOf('x-role', lines), 'latin1'), 0, false, 60_000, 100) > 0)
      const action = routes === undefined ? undefined : matchRoute(routes, new RequestView(head, 'http'), 0)?.route.action
      assert.equal(action?.kind === 'direct' ? action.status : 0, told[k]?.status, `${JSON.stringify(match)} ${JSON.stringify(lines)}`)
    }
  }
})

function compiled(routes: JsonObject[]): ReturnType<typeof compileRoutes> {
  const schema = message<RouteConfiguration>('envoy.config.route.v3.RouteConfiguration')
  return compileRoutes(fromJson(schema, { name: 'r', virtualHosts: [{ name: 'v', domains: ['*'], routes }] }, { registry }))
}
