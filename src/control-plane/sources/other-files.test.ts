import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readFiles } from './files.ts'

function folder(t: TestContext, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'kith-folder-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}

const service = 'apiVersion: v1\nkind: Service\nmetadata: {name: web}\n'

test('what a folder holds besides objects is named once, with what makes objects of it, and is no error', (t) => {
  const dir = folder(t, {
    'app/service.yaml': service,
    'chart/Chart.yaml': 'apiVersion: v2\nname: web\n', 'chart/values.yaml': 'a: 1\n', 'chart/values-prod.yaml': 'a: 2\n',
    'chart/templates/a.yaml': '{{- if .Values.a }}\nkind: Service\n{{- end }}\n', 'chart/templates/b.yaml': service, 'chart/charts/sub/Chart.yaml': 'name: sub\n',
    'chart/crds/crd.yaml': 'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: x}\n',
    'base/kustomization.yaml': 'resources: [service.yaml]\npatches: [{path: json.yaml}, {path: merge.yaml}]\n', 'base/service.yaml': service,
    'base/json.yaml': '- {op: add, path: /a, value: 1}\n', 'base/merge.yaml': 'kind: Service\napiVersion: v1\nmetadata: {name: web}\nspec: {}\n',
    'overlay/kustomization.yml': 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\n',
    'compose.yaml': 'services: {web: {image: web}}\n', 'stack.yml': 'version: "3"\nservices: {db: {build: .}}\n',
    'skaffold.yaml': 'apiVersion: skaffold/v4beta11\nkind: Config\nbuild: {}\n', 'package.json': '{"name": "web"}', 'tsconfig.json': '{"compilerOptions": {}}',
    'deploy/values.yaml': 'b: 1\n', 'deploy/route.yaml': 'kind: Service\nmetadata: {name: {{ .Release.Name }}}\n', 'deploy/name.yaml': 'apiVersion: v1\nkind: Service\nmetadata: {name: web-{{ .Release.Name }}}\n',
  })
  const { documents, problems, files } = readFiles([dir])
  const short = (file: string | undefined): string => file?.slice(dir.length + 1) ?? ''
  assert.deepEqual(documents.map((d) => short(d.origin.file)), ['app/service.yaml', 'base/service.yaml', 'chart/crds/crd.yaml'])
  assert.deepEqual(files.map(short), ['app/service.yaml', 'base/service.yaml', 'chart/crds/crd.yaml'])
  assert.deepEqual(problems.map((p) => `${p.severity} ${p.code}`).filter((s) => s !== 'info KITH0007'), [])
  const said = new Map(problems.map((p) => [short(p.ref.file), `${p.message}; ${p.help ?? ''}`.replaceAll(`${dir}/`, '')]))
  const expected: Readonly<Record<string, RegExp>> = {
    'chart/Chart.yaml': /Helm chart.*helm template chart \|/, 'base/kustomization.yaml': /kustomization.*kubectl kustomize base \|/, 'overlay/kustomization.yml': /kubectl kustomize overlay \|/,
    'compose.yaml': /Compose file.*kompose convert -f compose\.yaml/, 'stack.yml': /Compose file.*kompose convert -f stack\.yml/, 'skaffold.yaml': /Skaffold.*skaffold render/,
    'package.json': /neither apiVersion nor kind is there \(so is tsconfig\.json\)/, 'deploy/values.yaml': /values for a Helm chart.*helm template/, 'deploy/name.yaml': /not rendered.*helm template/, 'deploy/route.yaml': /not rendered.*helm template/,
  }
  assert.deepEqual([...said.keys()].sort(), Object.keys(expected).sort())
  for (const [file, words] of Object.entries(expected)) assert.match(said.get(file) ?? '', words)
})

test('half an object, and a file that was named, are read as they are', (t) => {
  const dir = folder(t, { 'half.yaml': 'metadata: {name: a}\nspec: {}\n', 'package.json': '{"name": "web"}', 'config.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: "{{ x }}"}\n' })
  assert.equal(readFiles([dir]).documents.length, 2)
  const named = readFiles([join(dir, 'package.json')])
  assert.deepEqual([named.documents.length, named.problems], [1, []])
})
