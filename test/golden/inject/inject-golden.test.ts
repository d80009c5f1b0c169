// Every case of injection: in.yaml is complete (its first document says what the injector goes by), out.yaml is what becomes of the objects, reasons.txt why.
// What comes out is put in again and must stay as it is. UPDATE_GOLDEN=1 writes them anew: read the difference before you commit it.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { formatRef } from '#lib/problem.ts'
import { decode, isRecord, rules, type ApiObject } from '#api'
import { createInjector, decideInjection, injectObject, type Injector } from '#inject'
import { parseYaml, type RawDocument } from '#sources'

type Obj = Record<string, unknown>
const yaml = { parse: parsed, print: written }
const folders = globSync(`${import.meta.dirname}/*/in.yaml`).map((f) => dirname(f)).sort()

test('there are cases', () => {
  assert.ok(folders.length > 10)
})

for (const folder of folders) {
  test(relative(import.meta.dirname, folder), () => {
    const { documents, problems } = parseYaml(readFileSync(join(folder, 'in.yaml'), 'utf8'), 'in.yaml')
    assert.deepEqual(problems, [])
    const [head, ...rest] = documents
    assert.ok(isRecord(head?.value) && head.value['kind'] === 'InjectionCase', 'the first document must be an InjectionCase')
    const injector = injectorOf(head.value)
    const { objects, reasons } = render(rest, injector)
    for (const [file, text] of [['out.yaml', objects.map((o) => `---\n${written(o)}`).join('')], ['reasons.txt', reasons.join('\n') + '\n']] as const) {
      const path = join(folder, file)
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
      else assert.equal(text, existsSync(path) ? readFileSync(path, 'utf8') : '', `${relative('.', path)} differs; UPDATE_GOLDEN=1 npm test -- test/golden/inject writes it anew`)
    }
    for (const object of objects) {
      const again = injectObject(object, injector)
      if (again.kind === 'injected') assert.deepEqual(again.object, object, 'injecting it again changes it')
    }
  })
}

function injectorOf(head: Obj): Injector {
  const injector = createInjector({ config: head['config'] ?? {}, values: head['values'] ?? {}, meshConfig: head['meshConfig'] ?? {}, revision: typeof head['revision'] === 'string' ? head['revision'] : 'default', yaml })
  assert.deepEqual(injector.faults, [])
  return injector
}

function render(documents: readonly RawDocument[], injector: Injector): { objects: Obj[]; reasons: string[] } {
  const decoded = documents.map((d) => ({ raw: d.value as Obj, object: decode(d.value, d.origin).object }))
  const namespaces = new Map(decoded.filter((d) => d.object?.kind === 'Namespace').map((d) => [d.object?.metadata.name, d.object] as const))
  const objects: Obj[] = []
  const reasons: string[] = []
  for (const { raw, object } of decoded) {
    if (object === undefined || object.kind === 'Namespace') continue
    const shown = `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`
    const decided = decideInjection(candidateOf(raw, object, namespaces.get(object.metadata.namespace)), injector.injection)
    reasons.push(`${shown}: ${decided.value ? 'injected' : 'not injected'}`, ...decided.because.map((r) => `  ${r.effect}: ${rules[r.rule]?.sentence ?? r.rule}${r.source === 'default' ? '' : `: ${formatRef(r.source)}`}`))
    if (!decided.value) continue
    const result = injectObject(raw, injector)
    if (result.kind === 'faulty') reasons.push(...result.faults.map((f) => `  refused: ${f}`))
    else reasons.push(...result.warnings.map((w) => `  warning: ${w}`))
    if (result.kind === 'injected') objects.push(result.object)
  }
  return { objects, reasons }
}

function candidateOf(raw: Obj, object: ApiObject, namespace: ApiObject | undefined): Parameters<typeof decideInjection>[0] {
  const path = object.kind === 'Pod' ? [] : object.kind === 'CronJob' ? ['spec', 'jobTemplate', 'spec', 'template'] : ['spec', 'template']
  const holder = path.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), raw) as { metadata?: { labels?: Record<string, string>; annotations?: Record<string, string> }; spec: Obj }
  const os = isRecord(holder.spec['os']) ? { os: String(holder.spec['os']['name']) } : {}
  return {
    namespace: object.metadata.namespace, namespaceLabels: namespace?.metadata.labels ?? {}, labels: holder.metadata?.labels ?? {}, annotations: holder.metadata?.annotations ?? {}, hostNetwork: holder.spec['hostNetwork'] === true, pod: object, metadataPath: [...path, 'metadata'].join('.'), ...os,
    ...(namespace === undefined ? {} : { namespaceObject: namespace }),
  }
}

/** As kubectl reads it: YAML 1.1. */
function written(value: unknown): string {
  return stringify(value, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false })
}

function parsed(text: string): unknown {
  const { documents, problems } = parseYaml(text, 'template')
  if (problems[0] !== undefined) throw new Error(problems[0].message)
  return documents[0]?.value
}
