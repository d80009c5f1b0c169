// The table of ARCHITECTURE.md is the law: any import that it does not name fails here.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'

interface Room { readonly name: string; readonly folder: string; readonly may: ReadonlySet<string> }

function readRooms(): Room[] {
  const rows = readFileSync('ARCHITECTURE.md', 'utf8').split('\n').filter((l) => /^\| [a-z]+ \| src\//.test(l))
  return rows.map((row) => {
    const [name, folder, , may] = row.split('|').slice(1, -1).map((c) => c.trim()) as [string, string, string, string]
    return { name, folder, may: new Set(may.split(' ').filter((w) => /^[a-z]+$/.test(w))) }
  })
}

const imported = /^(?:import|export)\b(?:[^'"\n]*?\sfrom)?\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]|^\} from ['"]([^'"]+)['"]/gm

test('every import is one that ARCHITECTURE.md allows', () => {
  const rooms = readRooms()
  assert.ok(rooms.length >= 18, 'the table of rooms was not found')
  const aliases = (JSON.parse(readFileSync('package.json', 'utf8')) as { imports: Record<string, string> }).imports
  const roomOf = (file: string) => rooms.find((r) => file.startsWith(r.folder + '/'))
  const wrong: string[] = []
  for (const file of globSync('src/**/*.ts')) {
    const from = roomOf(file)
    assert.ok(from, `${file} is in no room`)
    for (const match of readFileSync(file, 'utf8').matchAll(imported)) {
      const what = (match[1] ?? match[2] ?? match[3]) as string
      let target: string
      if (what.startsWith('.')) target = normalize(join(dirname(file), what))
      else if (what.startsWith('#')) {
        const alias = Object.keys(aliases).find((a) => a === what || (a.endsWith('/*') && what.startsWith(a.slice(0, -1))))
        if (alias === undefined) { wrong.push(`${file}: ${what} is no alias`); continue }
        const path = aliases[alias] as string
        target = normalize(alias === what ? path : path.replace('*', what.slice(alias.length - 1)))
      } else continue
      const to = roomOf(target)
      if (to === undefined) { if (!target.startsWith('generated/')) wrong.push(`${file}: ${what} leads out of the rooms`); continue }
      // A test beside the code may make its input by any room.
      if (to !== from && !from.may.has(to.name) && !file.endsWith('.test.ts')) wrong.push(`${file}: ${from.name} may not import ${to.name}`)
      if (to !== from && what.startsWith('.')) wrong.push(`${file}: enter ${to.name} by its alias, not by ${what}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('no file is past 400 lines, none is called utils', () => {
  const long = globSync('{src,scripts,test,bench}/**/*.ts').filter((f) => readFileSync(f, 'utf8').split('\n').length > 400)
  assert.deepEqual(long, [])
  const names = globSync('src/**/*.ts').filter((f) => /(^|\/)(utils|helpers|common|misc|manager|base)(\.|\/)/.test(f))
  assert.deepEqual(names, [])
})

test('FFI lives in netlink and nowhere else', () => {
  const others = globSync('src/**/*.ts').filter((f) => !f.startsWith('src/data-plane/netlink/') && /['"]node:ffi['"]/.test(readFileSync(f, 'utf8')))
  assert.deepEqual(others, [])
})

test('HTTP on which Kith itself answers is served by lib/own-server.ts, which refuses foreign web pages', () => {
  // Forwards what applications ask, in explicit mode: none of it is answered by Kith.
  const applications = ['src/local/supervisor/plain-proxy.ts']
  const makes = /import \{[^}]*\bcreateServer\b[^}]*\} from 'node:(https?|http2)'/
  const others = globSync('src/**/*.ts').filter((f) => f !== 'src/lib/own-server.ts' && !f.endsWith('.test.ts') && makes.test(readFileSync(f, 'utf8')))
  assert.deepEqual(others, applications)
})
