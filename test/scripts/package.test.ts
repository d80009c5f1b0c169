import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
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
  const demo = kith('demo', '--yes', '--mode', 'explicit')
  assert.match(demo.stdout, /\nEvery call did what kith explain had said\. [\d.]+ s\.\n$/, demo.stderr)
  assert.equal(demo.status, 0)
})
