// What the control plane generates for every golden case is compiled by the engine without an error; what it does not serve is on this list, and nowhere hidden.
import assert from 'node:assert/strict'
import { relative } from 'node:path'
import { test } from 'node:test'
import { compile } from '#engine'
import { configOf, goldenFolders, readCase } from '../golden/golden-case.ts'

const known: readonly RegExp[] = [/slow_start_config/, /HTTP\/2 upstream/]

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
