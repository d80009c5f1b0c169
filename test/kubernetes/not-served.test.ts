// What is accepted and has no effect is told to each who should hear of it: the object's status, the webhook's caller, analyze, the control plane's log and the sidecar's.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { annotationServing, environmentEffect, environmentServed, isRecord, proxyConfigServing } from '#api'
import { analyze } from '#insight/analyze/analyze.ts'
import { known } from '#insight/analyze/analyzers/annotations.ts'
import { startInCluster } from '#server'
import { proxyConfigFields } from '../../src/control-plane/inject/proxy-config.ts'
import { reviewConfig } from '../../src/control-plane/server/webhooks/review-config.ts'
import { environmentIgnored, environmentRead, proxyConfigRead, settingsWithoutEffect } from '../../src/data-plane/agent/not-served.ts'
import { freePorts } from '../fixtures/ports.ts'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const object = (apiVersion: string, kind: string, spec: object): { apiVersion: string; kind: string; metadata: { name: string; namespace: string }; spec: object } => ({ apiVersion, kind, metadata: { name: 'x', namespace: 'foo' }, spec })
const rateLimit = { applyTo: 'HTTP_FILTER', match: { context: 'SIDECAR_INBOUND' }, patch: { operation: 'INSERT_BEFORE', value: { name: 'envoy.filters.http.local_ratelimit', typed_config: { '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct' } } } }

// The object, its plural (none: Kith has no definition of it, so no status), and what is said of it.
const objects: readonly (readonly [ReturnType<typeof object>, string | undefined, RegExp])[] = [
  [object('networking.istio.io/v1alpha3', 'EnvoyFilter', { configPatches: [rateLimit] }), 'envoyfilters', /EnvoyFilter is not served by this mesh \(HTTP_FILTER envoy\.filters\.http\.local_ratelimit\): its patches are applied to no proxy/],
  [object('networking.istio.io/v1', 'Gateway', { selector: { istio: 'gateway' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['a.com'] }] }), 'gateways', /Gateway is not served by this mesh: nothing listens/],
  [object('networking.istio.io/v1', 'VirtualService', { hosts: ['a.com'], gateways: ['x'], http: [{ directResponse: { status: 200 } }] }), 'virtualservices', /spec\.gateways\[0\]: no gateway is served by this mesh.*the routes apply to no proxy/],
  [object('telemetry.istio.io/v1', 'Telemetry', { accessLogging: [{ providers: [{ name: 'envoy' }] }] }), 'telemetries', /spec\.accessLogging: accessLogging of a Telemetry is not served/],
  [object('networking.istio.io/v1beta1', 'ProxyConfig', { environmentVariables: { A: 'b' } }), 'proxyconfigs', /spec\.environmentVariables: .*no sidecar gets these variables/],
  [object('networking.istio.io/v1', 'WorkloadGroup', { template: { serviceAccount: 'x' } }), 'workloadgroups', /machines do not register themselves/],
  [object('extensions.istio.io/v1alpha1', 'WasmPlugin', { url: 'oci://x' }), undefined, /no proxy loads it/],
]

test('status, webhook, analyze and the control plane’s log name each object of a kind that is not served', async (t) => {
  const api = await ApiServer.start()
  t.after(() => api.down().catch(() => undefined))
  for (const name of ['istio-system', 'foo']) api.put('/api/v1/namespaces', { kind: 'Namespace', metadata: { name } })
  const path = ({ apiVersion }: { apiVersion: string }, plural: string): string => `/apis/${apiVersion}/namespaces/foo/${plural}`
  for (const [o, plural] of objects) if (plural !== undefined) api.put(path(o, plural), o)
  const lines: Line[] = []
  const plane = await startInCluster({ client: clientOf(api), namespace: 'istio-system', revision: 'default', me: 'a', listen: '127.0.0.1:0', statusPort: { host: '127.0.0.1', port: 0 }, staging: { leastMs: 0 }, log: remember(lines) })
  t.after(() => plane.stop())
  for (const [o, plural, says] of objects) {
    const { response } = reviewConfig({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request: { uid: 'u', operation: 'CREATE', namespace: 'foo', object: o } }).answer
    assert.equal(response.allowed, true, JSON.stringify(response))
    assert.match(response.warnings?.join('\n') ?? '', says, o.kind)
    const said = analyze([{ value: o, origin: {} }]).messages.filter((m) => m.code === 'KITH0121').map((m) => `${m.ref.path}: ${m.message}`)
    assert.match(said.join('\n'), says, o.kind)
    if (plural === undefined) continue
    const status = (): unknown => {
      const found = api.read(path(o, plural), 'x')?.['status']
      return isRecord(found) && Array.isArray(found['conditions']) ? (found['conditions'][0] as { reason?: string; message?: string }) : undefined
    }
    await eventually(`the status of ${o.kind}`, () => (status() as { message?: string } | undefined)?.message ?? '', (message) => /warning KITH0121/.test(message) && says.test(message), 10_000)
    assert.equal(lines.filter((l) => l.fields['code'] === 'KITH0121' && String(l.fields['where']).startsWith(`${o.kind} `)).length, 1, o.kind)
  }
})

test('every annotation and every field of a proxy’s configuration that Istio has stands in the table', () => {
  assert.deepEqual([...known.keys()].filter((name) => annotationServing[name] === undefined), [])
  assert.deepEqual([...proxyConfigFields].sort(), Object.keys(proxyConfigServing).sort())
})

test('control plane and agent agree about what the sidecar’s settings do', () => {
  assert.deepEqual([...environmentRead].sort(), [...environmentServed].sort())
  for (const name of environmentIgnored) assert.notEqual(environmentEffect(name), undefined, name)
  assert.deepEqual([...proxyConfigRead].sort(), Object.entries(proxyConfigServing).flatMap(([name, serving]) => (serving === true ? [name] : [])).sort())
  const env = { ISTIO_META_DNS_CAPTURE: 'true', ISTIO_META_NETWORK: 'n', OUTPUT_CERTS: '/c', HOME: '/', ISTIO_METAJSON_LABELS: '{}', ISTIO_META_EMPTY: '', PROXY_CONFIG: '{"concurrency":2,"discoveryAddress":"a:1","tracing":{}}' }
  assert.deepEqual(settingsWithoutEffect(env), ['ISTIO_META_DNS_CAPTURE', 'OUTPUT_CERTS', 'PROXY_CONFIG concurrency'])
  assert.deepEqual(settingsWithoutEffect({ PROXY_CONFIG: 'no JSON' }), [])
})

test('the sidecar says at its start which of its settings have no effect', async (t) => {
  const base = await freePorts(40)
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '../../src/data-plane/agent/main.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], POD_NAME: 'p', POD_NAMESPACE: 'foo', CA_ADDR: '127.0.0.1:1', KITH_PORT_BASE: String(base), ISTIO_META_DNS_CAPTURE: 'true', ISTIO_META_NETWORK: 'n' },
  })
  t.after(() => child.kill('SIGKILL'))
  const said = await new Promise<string>((resolve) => {
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (more: string) => {
        text += more
        if (/ISTIO_META_\w+[^\n]*\n/.test(text)) resolve(text)
      })
    }
    child.on('close', () => resolve(text))
  })
  assert.match(said, /"setting":"ISTIO_META_DNS_CAPTURE".*setting has no effect in this sidecar/)
  assert.doesNotMatch(said, /ISTIO_META_NETWORK/)
})
