// Every golden case against what stands beside it. UPDATE_GOLDEN=1 writes them anew: read the difference before you commit it.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { test } from 'node:test'
import { goldenFolders, readCase } from './golden-case.ts'
import { render } from './render.ts'

const folders = goldenFolders()

test('there are golden cases', () => {
  assert.ok(folders.length > 0)
})

for (const folder of folders) {
  test(relative(import.meta.dirname, folder), () => {
    for (const [file, text] of Object.entries(render(readCase(folder)))) {
      const path = join(folder, file)
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, text)
      else assert.equal(text, existsSync(path) ? readFileSync(path, 'utf8') : '', `${relative('.', path)} differs; UPDATE_GOLDEN=1 npm test -- test/golden writes it anew`)
    }
  })
}
