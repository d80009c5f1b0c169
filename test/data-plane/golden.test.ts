// What the control plane generates for every golden case is compiled by the engine without an error; what it does not serve is on this list, and nowhere hidden.
import assert from 'node:assert/strict'
import { relative } from 'node:path'
import { test } from 'node:test'
import { compile } from '#engine'
import { configOf, goldenFolders, readCase } from '../golden/golden-case.ts'

/** The last: what the control plane says is not served, for the sidecar's log. */
const known: readonly RegExp[] = [/slow_start_config/, /HTTP\/2 upstream/, / is not served by this mesh\b/]

test('every golden case compiles', () => {
  const folders = goldenFolders()
  assert.ok(folders.length > 10)
  for (const folder of folders) {
    const golden = readCase(folder)
    const { errors, unserved, config } = compile(configOf(golden.mesh, golden.proxy).resources)
    const name = relative(import.meta.dirname, folder)
    assert.deepEqual(errors, [], name)
    assert.deepEqual(unserved.filter((u) => !known.some((k) => k.test(u.message))), [], name)
    assert.ok(config.listeners.has('virtualInbound') && config.listeners.has('virtualOutbound'), name)
  }
})

test('a sidecar’s log names what was asked for it and is not served', () => {
  const golden = readCase(goldenFolders().find((f) => f.endsWith('/not-served')) as string)
  const named = (proxy: string): string[] => compile(configOf(golden.mesh, proxy).resources).unserved.map((u) => u.message.split(' (')[0] as string)
  assert.deepEqual(named('client.foo'), ['EnvoyFilter istio-system/rate-limit', 'Telemetry foo/spans spec.tracing'])
  assert.deepEqual(named('api.bar'), ['EnvoyFilter istio-system/rate-limit'])
})
