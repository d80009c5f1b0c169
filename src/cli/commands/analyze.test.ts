// The commands as a script sees them: exit codes, what stands on which stream.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'

const folder = mkdtempSync(join(tmpdir(), 'kith-analyze-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

function kith(args: readonly string[], input = ''): { readonly code: number | null; readonly out: string; readonly err: string } {
  const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, '..', 'main.ts'), ...args], { encoding: 'utf8', input, env: { ...process.env, KUBECONFIG: '', HOME: folder } })
  return { code: run.status, out: run.stdout, err: run.stderr }
}

function file(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const peer = (mode: string): string => `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: foo\nspec:\n  mtls:\n    mode: ${mode}\n`
const route = `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: foo}\nspec: {hosts: [a], http: [{route: [{destination: {host: nowhere}}]}]}\n`

test('validate: valid, warnings, errors with file, line, field, the right values and the nearest', () => {
  const good = file('good.yaml', peer('STRICT'))
  assert.deepEqual(kith(['validate', '-f', good]), { code: 0, out: `"${good}" is valid\n`, err: '' })
  assert.deepEqual(kith(['validate', '-f', '-'], peer('STRICT')), { code: 0, out: 'validation succeed\n', err: '' })
  const seed = file('seed.yaml', peer('DISABLED'))
  const refused = kith(['validate', '-f', seed, '-f', good])
  assert.equal(refused.code, 1)
  assert.match(refused.err, /PeerAuthentication\/foo\/default: spec\.mtls\.mode: "DISABLED" .* it takes DISABLE, PERMISSIVE or STRICT; did you mean DISABLE\? \(.*seed\.yaml:8:5\)/)
  const warned = kith(['validate', '-f', file('warned.yaml', peer('STRICT').replace('spec:', 'spec:\n  selector: {}'))])
  assert.equal(warned.code, 0)
  assert.match(warned.out, /has warnings: /)
  assert.equal(kith(['validate', '-f', join(folder, 'missing.yaml')]).code, 1)
  assert.equal(kith(['validate']).code, 1)
})

test('analyze: 79, 65, 64 and 0', () => {
  const bad = file('route.yaml', route)
  const found = kith(['analyze', '--use-kube=false', '-A', bad])
  assert.equal(found.code, 79)
  assert.match(found.out, /^Error \[IST0101\] \(VirtualService foo\/a .*route\.yaml:4\) spec\.http\[0\]\.route\[0\]\.destination\.host: Referenced host not found: "nowhere"$/m)
  assert.equal(kith(['analyze', '--suppress', 'IST0101=VirtualService foo/*', bad]).code, 0)
  assert.equal(kith(['analyze', '-n', 'elsewhere', bad]).code, 0)
  assert.equal(kith(['analyze', file('broken.yaml', 'a: [')]).code, 65)
  assert.equal(kith(['analyze', '--ignore-unknown', join(folder, 'broken.yaml')]).code, 0)
  assert.equal(kith(['analyze', '--failure-threshold', 'Never', bad]).code, 64)
  assert.equal(kith(['analyze']).code, 64)
  const quiet = kith(['analyze', '-'], peer('STRICT'))
  assert.deepEqual([quiet.code, quiet.out], [0, ''])
  assert.match(quiet.err, /No validation issues found/)
})

test('analyze -o json is a list and nothing else', () => {
  const run = kith(['analyze', '-o', 'json', '-A', file('json.yaml', route)])
  const [message] = JSON.parse(run.out) as Record<string, unknown>[]
  assert.equal(run.code, 79)
  assert.deepEqual([message?.['code'], message?.['level'], message?.['origin']], ['IST0101', 'Error', 'VirtualService foo/a'])
  assert.equal(kith(['analyze', '-o', 'json', '-'], peer('STRICT')).out, '[]\n')
})

test('colour where it is asked for, a code that nobody says named', () => {
  const path = file('colour.yaml', route)
  assert.match(kith(['analyze', path, '--color']).out, /^\u001b\[31mError \[IST0101\]\u001b\[39m \(VirtualService foo\/a/m)
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(kith(['analyze', path]).out, /\u001b/)
  assert.match(kith(['analyze', path, '--suppress', 'IST9999=*']).err, /IST9999 is no code of a message/)
})

test('the mesh’s own settings are read from its ConfigMap where the files hold it', () => {
  const settings = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    rootNamespace: mesh-root\n'
  const policy = peer('STRICT').replace('namespace: foo', 'namespace: mesh-root').replace('spec:', 'spec:\n  selector: {matchLabels: {app: a}}')
  assert.match(kith(['analyze', file('root.yaml', `${settings}---\n${policy}`)]).out, /KITH0102/)
  assert.doesNotMatch(kith(['analyze', file('plain.yaml', policy)]).out, /KITH0102/)
})
