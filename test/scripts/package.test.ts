import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'

test('below node_modules, where Node strips no types, the package answers and runs a mesh', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kith-package-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const modules = join(dir, 'node_modules')
  const own = join(modules, 'kith-mesh')
  execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', 'scripts/package.ts', own])
  const { dependencies, bin } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as { dependencies: Record<string, string>; bin: { kith: string } }
  for (const name of Object.keys(dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(resolve('node_modules', name), join(modules, name))
  }
  mkdirSync(join(modules, '.bin'))
  symlinkSync(process.execPath, join(modules, '.bin/node'))
  symlinkSync(join(own, bin.kith), join(modules, '.bin/kith'))

  const kith = (...args: string[]) => spawnSync(join(modules, '.bin/kith'), args, { cwd: dir, encoding: 'utf8', env: { ...process.env, XDG_RUNTIME_DIR: dir, HOME: dir, REQUIRE: '' }, timeout: 90_000 })
  const explained = kith('explain', 'sleep.foo', 'http://httpbin.bar:8000/get', '-f', join(own, 'examples/walkthrough/mesh.yaml'))
  assert.match(explained.stdout, /^sleep\.foo → http:\/\/httpbin\.bar:8000\/get: mutual TLS\n/, explained.stderr)
  const { components } = JSON.parse(readFileSync(join(own, 'sbom.cdx.json'), 'utf8')) as { components: { name: string }[] }
  for (const name of Object.keys(dependencies)) assert.ok(components.some((c) => c.name === name), `${name} is in the bill of materials`)
  assert.match(readFileSync(join(own, 'NOTICE'), 'utf8'), /envoy\.binpb/)
  const demo = kith('demo', '--yes', '--mode', 'explicit')
  assert.match(demo.stdout, /\nEvery call did what kith explain had said\. [\d.]+ s\.\n$/, demo.stderr)
  assert.equal(demo.status, 0)
})

test('KITH_NODE names the Node to run on; one that cannot run Kith is refused', () => {
  const dir = mkdtempSync(join(tmpdir(), 'kith-node-'))
  const program = (name: string, text: string): string => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
    return join(dir, name)
  }
  const kith = (node: string) => spawnSync('bin/kith', ['version', '--remote=false'], { encoding: 'utf8', env: { ...process.env, KITH_NODE: node } })
  try {
    const own = kith(program('own', `echo taken >&2; exec "${process.execPath}" "$@"`))
    assert.match(own.stderr, /^taken\n/)
    assert.match(own.stdout, /\d+\.\d+\.\d+/)
    for (const [node, why] of [[join(dir, 'none'), 'no program'], [program('old', 'echo 20.20.2'), 'not Node 26 or later']] as const) {
      const refused = kith(node)
      assert.equal(refused.status, 2)
      assert.equal(refused.stderr, `kith: KITH_NODE is ${node}, which is ${why}\n`)
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
