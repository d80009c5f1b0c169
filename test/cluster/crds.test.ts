// Our definitions before a real API server: it takes them, and by them it refuses what `kith validate` refuses, wherever a definition can say it.
// The definitions stand under groups of our own here, so that a mesh in the same cluster is not touched.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { istioKinds, read } from '#api'
import { customResourceDefinitions } from '#deploy'
import { KithError } from '#lib/errors.ts'
import { kubernetesClient } from '#lib/kubernetes/client.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { parseYaml } from '#sources'
import { crdCases } from './crd-cases.ts'
import { lab, labMissing, labUp } from './lab.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('cluster')
const there = (process.env['KUBECONFIG'] ?? '') !== ''
const missing = there ? undefined : required ? labMissing() : 'KUBECONFIG names none'
if (missing !== undefined && required) throw new Error(`REQUIRE=cluster, but ${missing}`)
const skip = missing === undefined ? false : `skipped: needs a cluster (${missing})`

const suffix = `crds-${process.pid}.test.kith.dev`
const namespace = `kith-crds-${process.pid}`
const groupHere = (group: string): string => `${group.slice(0, group.indexOf('.'))}.${suffix}`

/** The same definition in a group of our own. */
function moved(crd: KubernetesObject): KubernetesObject {
  const spec = crd['spec'] as { group: string; names: { plural: string; shortNames?: string[]; categories: string[] } }
  return { ...crd, metadata: { name: `${spec.names.plural}.${groupHere(spec.group)}` }, spec: { ...spec, group: groupHere(spec.group), names: { ...spec.names, shortNames: [], categories: [] } } }
}
const definitions = customResourceDefinitions().map(moved)
let client: KubernetesClient
let ours = false

before(async () => {
  if (skip !== false) return
  if (!there) ours = labUp().ours
  client = await kubernetesClient()
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  for (const crd of definitions) await client.create(crd)
  for (const crd of definitions) {
    for (let i = 0; ; i++) {
      const conditions = ((await client.get({ apiVersion: crd.apiVersion, kind: crd.kind, name: crd.metadata.name ?? '' }))?.['status'] as { conditions?: { type: string; status: string; message: string }[] } | undefined)?.conditions ?? []
      if (conditions.some((c) => c.type === 'Established' && c.status === 'True')) break
      assert.ok(i < 300, `${crd.metadata.name} is not established: ${JSON.stringify(conditions)}`)
      await pause(100)
    }
  }
})

after(async () => {
  if (skip !== false) return
  for (const crd of definitions) await client.delete({ apiVersion: crd.apiVersion, kind: crd.kind, name: crd.metadata.name ?? '' })
  await client.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace })
  client.close()
  if (ours) lab('down')
})

/** What the API server says: undefined where it takes the object. */
async function answer(kind: string, version: string, spec: unknown): Promise<string | undefined> {
  const definition = istioKinds[kind]
  assert.ok(definition, kind)
  const plural = definitions.find((d) => (d['spec'] as { names: { kind: string } }).names.kind === kind)?.metadata.name?.split('.')[0]
  const group = groupHere(definition.group)
  try {
    await client.request('POST', `/apis/${group}/${version}/namespaces/${namespace}/${plural}`, { body: { apiVersion: `${group}/${version}`, kind, metadata: { name: 'x' }, spec }, query: { dryRun: 'All', fieldValidation: 'Strict' } })
    return undefined
  } catch (error) {
    if (error instanceof KithError && error.code === 'K8S_INVALID') return error.message
    throw error
  }
}

const specOf = (text: string): unknown => (parseYaml(`spec: ${text}`, 'case.yaml').documents[0] as { value: { spec: unknown } }).value.spec
const refusals: string[] = []

for (const { kind, spec, refused, webhook } of crdCases) {
  test(`${kind} ${spec} ${refused === undefined ? 'is taken' : 'is refused'}`, { skip }, async () => {
    const said = await answer(kind, istioKinds[kind]?.versions[0] ?? 'v1', specOf(spec))
    if (said !== undefined) refusals.push(said)
    if (refused === undefined) assert.equal(said, undefined)
    else assert.ok(said?.includes(refused), `${said ?? 'it was taken'}; expected: ${refused}`)
    // kith validate says the same, or more.
    const apiVersion = `${istioKinds[kind]?.group}/${istioKinds[kind]?.versions[0]}`
    const own = read({ apiVersion, kind, metadata: { name: 'x', namespace: 'foo' }, spec: specOf(spec) }, {})
    const isWrong = [...own.faults.map((f) => f.problem), ...own.findings].some((p) => p.severity === 'error')
    assert.equal(isWrong, refused !== undefined || webhook === true, 'kith validate judges otherwise')
  })
}

test('every rule of the definitions was broken by one of these cases', { skip }, () => {
  const messages = new Set<string>()
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(walk)
    if (typeof node !== 'object' || node === null) return
    for (const [key, value] of Object.entries(node)) {
      if (key === 'x-kubernetes-validations') for (const r of value as { message: string }[]) messages.add(r.message)
      walk(value)
    }
  }
  walk(definitions)
  assert.ok(messages.size > 20)
  assert.deepEqual([...messages].filter((m) => !refusals.some((r) => r.includes(m))), [])
})

test('every version of a kind is served by the same schema', { skip }, async () => {
  for (const [kind, { versions }] of Object.entries(istioKinds)) {
    const good = crdCases.find((c) => c.kind === kind && c.refused === undefined)
    assert.ok(good, `${kind} has no case that is taken`)
    for (const version of versions) assert.equal(await answer(kind, version, specOf(good.spec)), undefined, `${kind} ${version}`)
  }
})
