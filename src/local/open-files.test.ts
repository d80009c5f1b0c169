import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkOpenFiles, openFilesLimit, startFailure } from './open-files.ts'

test('a limit of open files that is too low for the mesh is named, with what it needs', () => {
  const limit = openFilesLimit()
  assert.ok(limit === undefined || limit > 0)
  checkOpenFiles(10, 144)
  checkOpenFiles(10, undefined)
  assert.throws(() => checkOpenFiles(10, 143), {
    code: 'OPEN_FILES_LIMIT',
    message: 'the limit of open files is 143, and a mesh of 10 containers needs 144; raise it: ulimit -n 4096',
  })
})

test('a program that cannot be started for want of files: the limit is named', () => {
  const refused = (code: string): Error => Object.assign(new Error(`spawn setpriv ${code}`), { code })
  assert.match(startFailure(refused('EMFILE')), /^spawn setpriv EMFILE: the limit of open files is (\d+|reached) \(ulimit -n\)$/)
  assert.match(startFailure(refused('ENFILE')), /fs\.file-max/)
  assert.equal(startFailure(refused('ENOENT')), 'spawn setpriv ENOENT')
})
