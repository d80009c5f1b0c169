import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readlinkSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Problem } from '#lib/problem.ts'
import { isRecord } from '#api'
import { emptyMs, SettledFiles, stillMs } from './settled-files.ts'
import { takeUp } from './take-up.ts'

const pod = (name: string, image: string): string => `apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: foo}
spec: {containers: [{name: app, image: ${image}}]}
`
const both = (image: string): string => `${pod('first', image)}---\n${pod('second', image)}`

/** A folder with mesh.yaml in it, and a clock that the test moves. */
class Watched {
  readonly dir = mkdtempSync(join(tmpdir(), 'kith-settled-'))
  readonly file = join(this.dir, 'mesh.yaml')
  readonly files: SettledFiles
  nowMs = 1000
  held: ReturnType<typeof takeUp>

  constructor(text = both('old'), whole: boolean = false) {
    writeFileSync(this.file, text)
    this.files = new SettledFiles([this.dir], whole ? [this.dir] : [], this.nowMs)
    this.held = takeUp(this.files.read(), [])
  }

  /** Looks after so long, and again when it is asked to, as long as that lies within the time. */
  after(ms: number): string[] {
    const end = this.nowMs + ms
    this.nowMs = end
    const { changed } = this.files.look(end)
    if (changed) this.held = takeUp(this.files.read(), this.held.objects)
    return this.images()
  }

  images(): string[] {
    return this.held.objects.map((o) => {
      const containers = isRecord(o.spec) ? (o.spec['containers'] as { image: string }[]) : []
      return `${o.metadata.name} ${containers[0]?.image}`
    })
  }

  problems(): readonly Problem[] {
    return this.held.problems
  }

  [Symbol.dispose](): void {
    rmSync(this.dir, { recursive: true })
  }
}

const old = ['first old', 'second old']
const fresh = ['first new', 'second new']

/** Steps of one save; between them the file is looked at. The last one makes it whole. */
const saves: readonly (readonly [string, readonly ((w: Watched) => void)[]])[] = [
  ['truncated, then written', [({ file }) => truncateSync(file), ({ file }) => writeFileSync(file, both('new'))]],
  ['written in pieces', [
    ({ file }) => writeFileSync(file, pod('first', 'new')),
    ({ file }) => appendFileSync(file, '---\napiVersion: v1\nkind: Po'),
    ({ file }) => appendFileSync(file, `d\n${pod('second', 'new').split('\n').slice(2).join('\n')}`),
  ]],
  ['a new file renamed over the old one', [
    ({ dir }) => writeFileSync(join(dir, '.mesh.yaml.swp'), both('new')),
    ({ dir, file }) => renameSync(join(dir, '.mesh.yaml.swp'), file),
  ]],
  ['the old file renamed away, and a new one written', [
    ({ file }) => renameSync(file, `${file}~`),
    ({ file }) => writeFileSync(file, ''),
    ({ file }) => writeFileSync(file, both('new')),
    ({ file }) => rmSync(`${file}~`),
  ]],
  ['removed, and written anew', [({ file }) => rmSync(file), ({ file }) => writeFileSync(file, both('new'))]],
  ['a copy kept, then written in place', [
    ({ file }) => copyFileSync(file, `${file}.bak`),
    ({ file }) => writeFileSync(file, ''),
    ({ file }) => writeFileSync(file, both('new')),
  ]],
]

for (const [what, steps] of saves) {
  test(`saved by an editor: ${what}`, () => {
    using watched = new Watched()
    for (const step of steps) {
      step(watched)
      assert.deepEqual(watched.after(stillMs / 3), old, 'while it is being saved')
      assert.deepEqual(watched.problems(), [])
    }
    watched.after(1)
    assert.deepEqual(watched.after(stillMs), fresh)
    assert.deepEqual(watched.problems(), [])
  })
}

test('a ConfigMap mount: all files change at once, by a link that is put in place of another', () => {
  using watched = new Watched('')
  rmSync(watched.file)
  const version = (name: string, image: string): void => {
    mkdirSync(join(watched.dir, name))
    writeFileSync(join(watched.dir, name, 'mesh.yaml'), both(image))
    symlinkSync(name, join(watched.dir, '..tmp'))
    renameSync(join(watched.dir, '..tmp'), join(watched.dir, '..data'))
  }
  version('..1', 'old')
  symlinkSync('..data/mesh.yaml', watched.file)
  watched.after(1)
  assert.deepEqual(watched.after(stillMs), old)
  version('..2', 'new')
  assert.equal(readlinkSync(join(watched.dir, '..data')), '..2')
  watched.after(1)
  assert.deepEqual(watched.after(stillMs), fresh)
})

test('a file of 0 bytes: its objects stay for two seconds, then they go and are named; they come back with the text', () => {
  using watched = new Watched()
  writeFileSync(watched.file, '')
  watched.after(1)
  assert.deepEqual(watched.after(emptyMs - 10), old)
  assert.deepEqual(watched.problems(), [])
  assert.deepEqual(watched.after(10), [])
  const problems = watched.problems()
  const said = problems[0]
  assert.equal(problems.length, 1)
  assert.equal(said?.code, 'KITH0008')
  assert.equal(said?.ref.file, watched.file)
  assert.equal(said?.message, 'the file is empty now, and these objects are gone: Pod foo/first, Pod foo/second')
  writeFileSync(watched.file, both('new'))
  watched.after(1)
  assert.deepEqual(watched.after(stillMs), fresh)
  assert.deepEqual(watched.problems(), [])
})

test('a file that is written without end holds up no other', () => {
  using watched = new Watched()
  const other = join(watched.dir, 'other.yaml')
  const busy = join(watched.dir, 'busy.yaml')
  writeFileSync(other, pod('other', 'old'))
  for (let i = 0; i < 10; i++) {
    appendFileSync(busy, `${pod(`busy-${i}`, 'x')}---\n`)
    watched.after(stillMs / 2)
  }
  assert.deepEqual(watched.images(), [...old, 'other old'])
  watched.after(stillMs)
  assert.equal(watched.images().length, 13)
})

test('a text that cannot be read keeps the objects that it held before, and says so', () => {
  using watched = new Watched()
  writeFileSync(watched.file, 'a: [')
  watched.after(1)
  assert.deepEqual(watched.after(stillMs), old)
  assert.deepEqual(watched.problems().map((p) => p.code), ['KITH0001'])
})

test('where files appear whole, by a rename, nothing is waited for', () => {
  using watched = new Watched(both('old'), true)
  writeFileSync(join(watched.dir, '.new'), both('new'))
  renameSync(join(watched.dir, '.new'), watched.file)
  assert.deepEqual(watched.after(1), fresh)
})
