// A stale bundle must never run.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { madeEntry, madeFile } from './made.ts'

test('what was made ahead is taken only while each of its sources has the time and size that it had', () => {
  const home = mkdtempSync(join(tmpdir(), 'kith-made-'))
  try {
    const source = join(home, 'a.ts')
    const made = join(home, 'generated/commands', madeFile('explain'))
    mkdirSync(join(home, 'generated/commands'), { recursive: true })
    writeFileSync(source, 'one')
    const { mtimeMs, size } = statSync(source)
    assert.equal(madeEntry(home, 'explain'), undefined, 'nothing was made')
    writeFileSync(made, JSON.stringify({ entry: 'main-1.js', inputs: { 'a.ts': [mtimeMs, size] } }))
    assert.equal(madeEntry(home, 'explain'), undefined, 'its file is gone')
    writeFileSync(join(home, 'generated/commands/main-1.js'), '')
    assert.equal(madeEntry(home, 'explain'), join(home, 'generated/commands/main-1.js'))
    assert.equal(madeEntry(home, 'analyze'), undefined, 'another command')
    writeFileSync(source, 'two')
    utimesSync(source, mtimeMs / 1000 + 10, mtimeMs / 1000 + 10)
    assert.equal(madeEntry(home, 'explain'), undefined, 'same size, another time')
    writeFileSync(source, 'three')
    utimesSync(source, mtimeMs / 1000, mtimeMs / 1000)
    assert.equal(madeEntry(home, 'explain'), undefined, 'another size')
    rmSync(source)
    assert.equal(madeEntry(home, 'explain'), undefined, 'gone')
    writeFileSync(made, '{')
    assert.equal(madeEntry(home, 'explain'), undefined, 'half written')
  } finally {
    rmSync(home, { recursive: true, force: true })
  }
})
