import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeFolder, sweepFolders } from './folder.ts'

test('a killed run’s folder is swept up, that of one which lives is not', async (t) => {
  const mine = makeFolder()
  // No process of this id started at that time.
  const left = join(tmpdir(), `kith-demo-${process.pid}.1-${process.pid}`)
  t.after(() => [mine.dir, left].forEach((dir) => rmSync(dir, { recursive: true, force: true })))
  mkdirSync(left)
  await sweepFolders()
  assert.deepEqual([existsSync(mine.dir), existsSync(left)], [true, false])
})
