// `helm template` of our chart gives the objects of `kith manifest generate`, for the values of each golden case and some more. As objects: Helm sorts keys, and so the text of YAML in ConfigMaps.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { load } from 'js-yaml'
import { parseAllDocuments } from 'yaml'
import { manifests, resolveValues, settingsOf } from '#deploy'
import { findHelm } from './helm.ts'

const helm = findHelm()
if ('missing' in helm && (process.env['REQUIRE'] ?? '').split(',').includes('helm')) throw new Error(`REQUIRE=helm, but ${helm.missing}`)
const skip = 'missing' in helm ? `skipped: needs helm (${helm.missing})` : false
const root = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'kith-chart-'))

type Objects = Readonly<Record<string, unknown>>
interface Plain { readonly kind: string; readonly metadata: { readonly name: string; readonly namespace?: string }; readonly data?: Readonly<Record<string, string>> }

before(() => {
  if (skip !== false) return
  const built = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', join(root, 'deploy/chart/build.ts'), '--out', folder], { encoding: 'utf8' })
  assert.equal(built.status, 0, built.stderr)
})
after(() => rmSync(folder, { recursive: true, force: true }))

/** By name; YAML and JSON within ConfigMaps as what they say. */
function byName(objects: readonly Plain[]): Objects {
  const entries = objects.map((o) => {
    const data = o.data === undefined ? undefined : Object.fromEntries(Object.entries(o.data).map(([k, v]) => [k, load(v)]))
    return [`${o.kind} ${o.metadata.namespace ?? ''}/${o.metadata.name}`, data === undefined ? o : { ...o, data }] as const
  })
  return JSON.parse(JSON.stringify(Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1))))) as Objects
}

function byHelm(file: string, namespace: string): Objects {
  assert.ok('path' in helm)
  const run = spawnSync(helm.path, ['template', 'kith', join(folder, 'kith'), '--namespace', namespace, '--include-crds', '--kube-version', 'v1.33.0', '-f', file], { encoding: 'utf8', maxBuffer: 1 << 27 })
  assert.equal(run.status, 0, run.stderr)
  return byName(parseAllDocuments(run.stdout).map((d) => d.toJS() as Plain | null).filter((d) => d !== null))
}

function refusedByHelm(file: string): string {
  assert.ok('path' in helm)
  const run = spawnSync(helm.path, ['template', 'kith', join(folder, 'kith'), '--kube-version', 'v1.33.0', '-f', file], { encoding: 'utf8', maxBuffer: 1 << 27 })
  assert.notEqual(run.status, 0, 'a misspelt value passed')
  return run.stderr
}

function without(value: Record<string, unknown>, [key = '', ...rest]: readonly string[]): Record<string, unknown> {
  if (rest.length > 0) return { ...value, [key]: without(value[key] as Record<string, unknown>, rest) }
  const { [key]: _gone, ...kept } = value
  return kept
}

const more: Readonly<Record<string, object>> = {
  'nothing but definitions': { pilot: { enabled: false } },
  'tags of the default revision': { revisionTags: ['prod', 'default'] },
  'namespaces by default': { sidecarInjectorWebhook: { enableNamespacesByDefault: true } },
  'spread, affinity, annotations': {
    pilot: {
      topologySpreadConstraints: [{ maxSkew: 2, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule' }], affinity: { nodeAffinity: {} }, deploymentAnnotations: { a: 'b' }, deploymentLabels: { app: 'other' }, serviceAccountAnnotations: { c: 'd' },
      image: 'registry.example.com/own/pilot@sha256:abc', env: { B: 2, A: true },
    },
  },
  'what Istio’s charts have and this one does not': { pilot: { autoscaleEnabled: true, traceSampling: 1 }, global: { jwtPolicy: 'third-party-jwt' }, gateways: {} },
  'a wrong key deep inside': { pilot: { cni: { enable: true } } },
  'pull secrets as objects': { global: { imagePullSecrets: [{ name: 'one' }, 'two'], logging: { level: 'none' } } },
}

/** What Helm refuses by the chart's schema, and kith warns of. */
const misspelt = /there is no value/

/** Plain Helm values: an IstioOperator is istioctl's alone. */
const golden = globSync(`${root}/test/golden/manifests/*/values.yaml`).filter((f) => (load(readFileSync(f, 'utf8')) as { kind?: string }).kind === undefined).sort()
const cases = [...golden.map((file) => [basename(dirname(file)), load(readFileSync(file, 'utf8')) as object] as const), ...Object.entries(more)]

for (const [name, value] of cases) {
  test(`helm template = manifest generate: ${name}`, { skip }, () => {
    const file = join(folder, 'case.json')
    writeFileSync(file, JSON.stringify(value))
    const wrong = resolveValues([{ from: name, value }]).problems.filter((p) => misspelt.test(p.message)).map((p) => p.ref.path)
    const right = wrong.reduce((v, path) => without(v, path.split('.')), value as Record<string, unknown>)
    if (wrong.length > 0) {
      for (const path of wrong) assert.match(refusedByHelm(file), new RegExp(path.slice(path.lastIndexOf('.') + 1)))
      writeFileSync(file, JSON.stringify(right))
    }
    const { values } = resolveValues([{ from: name, value: right }])
    const ours = manifests(values).filter((o) => o.kind !== 'Namespace') as unknown as readonly Plain[]
    const expected = byName(ours)
    const found = byHelm(file, settingsOf(values).namespace)
    assert.deepEqual(Object.keys(found), Object.keys(expected))
    for (const key of Object.keys(expected)) assert.deepEqual(found[key], expected[key], key)
  })
}
