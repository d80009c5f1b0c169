// `kith apply` and `kith delete` return when the sidecars act on the change: what is called from then on meets it, also on connections
// that were open before. With our proxy and with Envoy as the sidecar.
import assert from 'node:assert/strict'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { startMesh, type MeshHandle } from '#local'
import { hasNamespaces } from '../scenario/fixtures/lane.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { withMeshFolder } from './fixtures/mesh-folder.ts'

interface Change {
  readonly name: string
  readonly text: string
  readonly expected: number
}

const object = (value: object): string => `${JSON.stringify(value)}\n`
const security = (kind: string, name: string, spec: object): string => object({ apiVersion: 'security.istio.io/v1', kind, metadata: { name, namespace: 'foo' }, spec })
const fault = { fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }, route: [{ destination: { host: 'echo' } }] }
const changes: readonly Change[] = [
  { name: 'a DENY at the server (its listener)', expected: 403, text: security('AuthorizationPolicy', 'deny', { action: 'DENY', rules: [{}] }) },
  { name: 'a token that is asked for (its listener)', expected: 403, text: security('AuthorizationPolicy', 'token', { rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }] }) },
  { name: 'a fault at the client (its routes)', expected: 418, text: object({ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'fault', namespace: 'foo' }, spec: { hosts: ['echo'], http: [fault] } }) },
  { name: 'no mutual TLS (listener and cluster)', expected: 200, text: security('PeerAuthentication', 'default', { mtls: { mode: 'DISABLE' } }) },
]

/** Calls go on and on; each change is applied and deleted. Resolves with what was called after one command and before the next. */
async function underTraffic(mesh: MeshHandle, dir: string): Promise<{ readonly what: string; readonly expected: number; readonly seen: Record<string, number> }[]> {
  copyFileSync('test/envoy/fixtures/steady-calls.ts', join(dir, 'steady-calls.ts'))
  const stopFile = join(dir, 'stop')
  const calls = mesh.exec('client.foo', ['node', './steady-calls.ts', 'http://echo:8000/', stopFile])
  const phases: { what: string; expected: number; from: number; until: number }[] = []
  try {
    await someCalls()
    for (const { name, text, expected } of changes) {
      for (const [op, status] of [['apply', expected], ['delete', 200]] as const) {
        const { changes: made } = op === 'apply' ? await mesh.apply(text, 'change.yaml') : await mesh.delete(text)
        assert.deepEqual(made.map((c) => c.action), [op === 'apply' ? 'created' : 'deleted'], `${op}: ${name}`)
        const from = Date.now() + 1
        await someCalls()
        phases.push({ what: `${op}: ${name}`, expected: status, from, until: Date.now() })
      }
    }
  } finally {
    writeFileSync(stopFile, '')
  }
  const { stdout, stderr } = await calls
  assert.equal(stderr, '')
  const all = JSON.parse(stdout) as [number, number | string][]
  return phases.map(({ what, expected, from, until }) => {
    const seen: Record<string, number> = {}
    for (const [at, outcome] of all) if (at >= from && at < until) seen[outcome] = (seen[outcome] ?? 0) + 1
    return { what, expected, seen }
  })
}

/** Time for a few dozen calls. */
const someCalls = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 400))

for (const proxy of ['kith', 'envoy'] as const) {
  test(`apply and delete under traffic, ${proxy} as the sidecar: every call after the command meets the change`, async (t) => {
    const binary = proxy === 'envoy' ? needsEnvoy(t) : ''
    if (binary === undefined || !hasNamespaces(t)) return
    await withMeshFolder(() => binary, async (dir) => {
      const mesh = await startMesh({ dir, proxy, mode: 'namespaced' })
      try {
        await mesh.waitReady()
        const wrong = (await underTraffic(mesh, dir)).filter(({ expected, seen }) => Object.keys(seen).join() !== String(expected))
        assert.deepEqual(wrong, [])
      } finally {
        await mesh.down()
      }
    })
  })
}
