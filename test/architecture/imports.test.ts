// The table of ARCHITECTURE.md is the law: an import that it does not name fails here, and so does a grant that no import
// uses. Of two files none needs the other at run time; the cycles between types that are left stand in a list.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { cycles, importsOf, sources } from './source-imports.ts'

interface Room {
  readonly name: string
  readonly folder: string
  readonly may: ReadonlySet<string>
}

function readRooms(): Room[] {
  const rows = readFileSync('ARCHITECTURE.md', 'utf8')
    .split('\n')
    .filter((l) => /^\| [a-z]+ +\| src\//.test(l))
  return rows.map((row) => {
    const cells = row.split('|').slice(1, -1)
    const [name, folder, , may] = cells.map((c) => c.trim()) as [string, string, string, string]
    return { name, folder, may: new Set(may.split(' ').filter((w) => /^[a-z]+$/.test(w))) }
  })
}

const rooms = readRooms()
const roomOf = (file: string): Room | undefined => rooms.find((r) => file.startsWith(`${r.folder}/`))
/** A test beside the code may make its input by any room. */
const code = sources.filter((f) => !f.endsWith('.test.ts'))

test('every import is one that ARCHITECTURE.md allows, and every grant there is used', () => {
  assert.ok(rooms.length >= 18, 'the table of rooms was not found')
  const wrong: string[] = []
  const used = new Set<string>()
  for (const file of sources) {
    const from = roomOf(file)
    assert.ok(from, `${file} is in no room`)
    for (const { written, target } of importsOf(file)) {
      if (written.startsWith('#') && target === undefined) wrong.push(`${file}: ${written} is no alias`)
      if (target === undefined || target.startsWith('generated/')) continue
      const to = roomOf(target)
      if (to === undefined) wrong.push(`${file}: ${written} leads out of the rooms`)
      if (to === undefined || to === from) continue
      if (written.startsWith('.')) wrong.push(`${file}: enter ${to.name} by its alias, not by ${written}`)
      if (file.endsWith('.test.ts')) continue
      if (!from.may.has(to.name)) wrong.push(`${file}: ${from.name} may not import ${to.name}`)
      used.add(`${from.name} ${to.name}`)
    }
  }
  const unused = rooms.flatMap((r) => [...r.may].filter((to) => !used.has(`${r.name} ${to}`)).map((to) => `${r.name} ${to}`))
  assert.deepEqual({ wrong, unused }, { wrong: [], unused: [] })
})

const graphOf = (wanted: (typeOnly: boolean) => boolean): Map<string, string[]> =>
  new Map(
    code.map((file) => [
      file,
      importsOf(file).flatMap((i) => (i.target?.startsWith('src/') === true && wanted(i.typeOnly) ? [i.target] : [])),
    ]),
  )

test('no two files need one another at run time', () => {
  assert.deepEqual(cycles(graphOf((typeOnly) => !typeOnly)), [])
})

/** Folders that still have cycles between types, and how many files the largest has. Only smaller numbers may come. */
const typeCycles: Readonly<Record<string, number>> = { 'src/control-plane/plan': 4, 'src/insight/analyze': 2, 'src/data-plane/proxy': 16, 'src/local/supervisor': 2 }

test('cycles between types become fewer, not more', () => {
  const found: Record<string, number> = {}
  for (const cycle of cycles(graphOf(() => true))) {
    const folder = (cycle[0] as string).split('/').slice(0, 3).join('/')
    found[folder] = Math.max(found[folder] ?? 0, cycle.length)
  }
  assert.deepEqual(found, typeCycles)
})

test('no file is past 400 lines, none is called utils', () => {
  const long = globSync('{src,scripts,test,bench}/**/*.ts').filter((f) => readFileSync(f, 'utf8').split('\n').length > 400)
  assert.deepEqual(long, [])
  const names = globSync('src/**/*.ts').filter((f) => /(^|\/)(utils|helpers|common|misc|manager|base)(\.|\/)/.test(f))
  assert.deepEqual(names, [])
})

test('FFI lives in netlink and nowhere else', () => {
  const others = sources.filter((f) => !f.startsWith('src/data-plane/netlink/') && /['"]node:ffi['"]/.test(readFileSync(f, 'utf8')))
  assert.deepEqual(others, [])
})

test('HTTP on which Kith itself answers is served by lib/own-server.ts, which refuses foreign web pages', () => {
  // Forwards what applications ask, in explicit mode: none of it is answered by Kith.
  const applications = ['src/local/supervisor/plain-proxy.ts']
  const makes = /import \{[^}]*\bcreateServer\b[^}]*\} from 'node:(https?|http2)'/
  const others = globSync('src/**/*.ts').filter((f) => f !== 'src/lib/own-server.ts' && !f.endsWith('.test.ts') && makes.test(readFileSync(f, 'utf8')))
  assert.deepEqual(others, applications)
})
