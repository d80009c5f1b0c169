import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { containerCommand } from './container-command.ts'
import { readMeshFile, type MeshFile } from './mesh-file.ts'

function reading(t: TestContext, text: string): MeshFile {
  const dir = mkdtempSync(join(tmpdir(), 'kith-test-'))
  t.after(() => rmSync(dir, { recursive: true }))
  writeFileSync(join(dir, 'kith.yaml'), text)
  return readMeshFile(dir)
}
const head = 'apiVersion: kith.dev/v1alpha1\nkind: LocalMesh\nspec:\n'

test('what kith.yaml says', (t) => {
  const file = reading(t, head + '  resources: [a.yaml]\n  images:\n    web:1: {command: [node, ./web.ts], env: {A: 1}}\n  external:\n  - {hosts: [x.example.com], command: [./x], ports: [443]}\n  workloadCertTtl: 20s\n  meshConfig: {accessLogFile: /dev/stdout}\n  proxy: envoy\n')
  assert.deepEqual(file.problems, [])
  assert.deepEqual({ ...file, path: undefined, problems: undefined }, {
    path: undefined, problems: undefined, resources: ['a.yaml'], images: { 'web:1': { command: ['node', './web.ts'], env: { A: '1' } } },
    external: [{ name: 'x.example.com', hosts: ['x.example.com'], command: ['./x'], env: {}, ports: [443] }], meshConfig: { accessLogFile: '/dev/stdout' }, proxy: 'envoy', certTtlSeconds: 20,
  })
})

test('faults name line, field and the nearest right name', (t) => {
  const cases: [string, number, RegExp][] = [
    ['  image: {}\n', 4, /unknown field "image"/],
    ['  images:\n    web: {comand: [x]}\n', 5, /unknown field "comand"/],
    ['  external:\n  - {hosts: [], command: [x]}\n', 5, /at least one host name/],
    ['  external:\n  - {hosts: [a], command: [x], address: fd00::1}\n', 5, /no IPv4 address/],
    ['  external:\n  - {hosts: [a], command: [x], ports: [70000]}\n', 5, /70000 is no port/],
    ['  proxy: nginx\n', 4, /must be kith or envoy/],
    ['  workloadCertTtl: 20\n', 4, /must look like 20s/],
  ]
  for (const [spec, line, message] of cases) {
    const [problem] = reading(t, head + spec).problems
    assert.equal(problem?.ref.line, line, spec)
    assert.match(problem?.message ?? '', message)
  }
  assert.match(reading(t, 'apiVersion: v1\nkind: LocalMesh\nspec: {}\n').problems[0]?.message ?? '', /must be kith\.dev\/v1alpha1/)
})

test('a container’s command, as Kubernetes puts it together', () => {
  const images = { 'reg:5000/web': { command: ['./web', '--port'], env: { A: '1', B: '2' } }, 'client:1': { command: ['sleep', 'infinity'], env: {} } }
  const argv = (container: object, given = {}) => {
    const c = containerCommand({ name: 'c', ...container }, images, given)
    return 'argv' in c ? c.argv.join(' ') : c.problem
  }
  assert.equal(argv({ image: 'reg:5000/web:2@sha256:abc', args: ['$(PORT_80)', '$$(A)', '$(NO)', '$(B)'], env: [{ name: 'B', value: '3' }] }, { PORT_80: '8080' }), './web --port 8080 $(A) $(NO) 3')
  assert.equal(argv({ image: 'client:1', command: ['node', 'x.js'] }), `${process.execPath} x.js`)
  assert.equal(argv({ image: 'unknown', command: ['true'] }), 'true')
  const own = containerCommand({ name: 'c', command: ['x', '$(IP)'], env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }] }, {}, {}, { 'status.podIP': '10.244.0.9' })
  assert.deepEqual(own, { argv: ['x', '10.244.0.9'], env: { IP: '10.244.0.9' } })
  assert.match(argv({ image: 'client:2' }), /maps no command to the image "client:2"; did you mean "client:1"\?/)
  assert.match(argv({}), /neither an image nor a command/)
})
