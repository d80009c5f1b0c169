// Values → the objects of an installation, but the definitions (test/cluster has those before a real API server). UPDATE_GOLDEN=1 writes them anew.
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { load } from 'js-yaml'
import { manifests, resolveValues } from '#deploy'
import { manifestText } from '../../src/cli/commands/manifest.ts'

const folders = globSync(`${import.meta.dirname}/manifests/*/values.yaml`).map((file) => dirname(file)).sort()

test('there are cases', () => {
  assert.ok(folders.length >= 4)
})

for (const folder of folders) {
  test(relative(import.meta.dirname, folder), () => {
    const { values, problems } = resolveValues([{ from: 'values.yaml', value: load(readFileSync(join(folder, 'values.yaml'), 'utf8')) }])
    const said = problems.map((p) => `# ${p.severity}: ${p.message}${p.help === undefined ? '' : `; ${p.help}`}\n`).join('')
    const text = said + manifestText(manifests(values).filter((o) => o.kind !== 'CustomResourceDefinition'))
    const path = join(folder, 'objects.yaml')
    if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
    else assert.equal(text, existsSync(path) ? readFileSync(path, 'utf8') : '', `${relative('.', path)} differs; UPDATE_GOLDEN=1 npm test -- test/golden writes it anew`)
  })
}
