// Whatever lies in a folder, reading it ends with documents and problems, and the good files beside it are read.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { readFiles } from './files.ts'
import { parseYaml } from './yaml.ts'

const bomb = 'a: &a [x,x,x,x,x,x,x,x,x]\n' + 'bcdefghi'.split('').map((c, i) => `${c}: &${c} [${Array(9).fill('*' + 'abcdefgh'[i]).join(',')}]`).join('\n')
const cases: readonly { readonly name: string; readonly text: string | Buffer; readonly documents: number; readonly line?: number }[] = [
  { name: 'alias bomb', text: bomb, documents: 0 },
  { name: 'alias of itself', text: 'a: &a [*a]', documents: 0 },
  { name: 'merge bomb', text: `a: &a {${Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join(', ')}}\nb: {<<: *a}\n`, documents: 0 },
  { name: 'NUL', text: 'a: 1\n\0', documents: 0 },
  { name: 'duplicate key', text: 'kind: A\nspec: {}\n---\nkind: B\nspec:\n  x: 1\n  x: 2\n', documents: 1, line: 7 },
  { name: 'tab', text: 'a:\n\tb: 1\n', documents: 0, line: 2 },
  { name: 'no UTF-8', text: Buffer.from([0xff, 0xfe, 0x00, 0x41, 0x00]), documents: 0 },
  { name: 'Latin-1', text: Buffer.from('name: caf\xe9\n', 'latin1'), documents: 0 },
  { name: 'UTF-16', text: Buffer.from('\ufeffname: a\n', 'utf16le'), documents: 0 },
  { name: 'depth', text: '['.repeat(200_000), documents: 0 },
  { name: 'unclosed quote', text: 'a: "x\n---\nb: 1\n', documents: 1, line: 2 },
  { name: 'unknown tag', text: 'a: !!js/function x', documents: 0, line: 1 },
  { name: 'undefined anchor', text: 'a: *nobody\n---\nb: 1\n', documents: 1, line: 1 },
]

test('hostile files end with problems at their place', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kith-sources-'))
  try {
    for (const { name, text, documents, line } of cases) {
      const file = join(folder, `${name.replaceAll(' ', '-')}.yaml`)
      writeFileSync(file, text)
      const read = readFiles([file])
      assert.equal(read.documents.length, documents, name)
      assert.ok(read.problems.length > 0 && read.problems.every((p) => p.severity === 'error' && p.ref.file === file), name)
      if (line !== undefined) assert.equal(read.problems[0]?.ref.line, line, name)
    }
    writeFileSync(join(folder, 'good.yaml'), 'kind: Good\n')
    truncateSync(writeTo(join(folder, 'huge.yaml')), 100 * 1024 * 1024)
    mkdirSync(join(folder, 'below'))
    symlinkSync('..', join(folder, 'below', 'loop'))
    symlinkSync('nowhere.yaml', join(folder, 'below', 'dangling.yaml'))
    const all = readFiles([folder, join(folder, 'missing')])
    assert.ok(all.documents.some((d) => (d.value as { kind?: string }).kind === 'Good'))
    for (const name of ['huge.yaml', 'dangling.yaml', 'missing']) assert.ok(all.problems.some((p) => p.ref.file?.endsWith(name)), name)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

function writeTo(file: string): string {
  writeFileSync(file, '')
  return file
}

test('any text at all ends with documents and problems', () => {
  const piece = fc.constantFrom('a: 1\n', '- b\n', '---\n', '...\n', '%YAML 1.1\n', '&x ', '*x ', '{', '}', '[', ']', ': ', '"', "'", '|\n', '>\n', '<<: ', '\t', '#', '\n', '!!str ', '\uFEFF', '? ', ' ', '\r\n', '\u0085', '💥')
  fc.assert(fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
    const parsed = parseYaml(pieces.join(''), 'f.yaml')
    for (const d of parsed.documents) d.origin.locate?.('a.b[0].c')
  }), { numRuns: 300 })
})

test('addresses in flow lists, directives and document ends read as kubectl reads them', () => {
  const values = (text: string): unknown[] => parseYaml(text, 'f.yaml').documents.map((d) => d.value)
  assert.deepEqual(values('a: [1.2.3.4, 2001:db8::, ::1]\nb: {c: fe80::}'), [{ a: ['1.2.3.4', '2001:db8::', '::1'], b: { c: 'fe80::' } }])
  assert.deepEqual(values('%YAML 1.1\n---\na: 1\n...\n---\nb: |\n  ---x\n---\nc: 3'), [{ a: 1 }, { b: '---x\n' }, { c: 3 }])
  assert.deepEqual(values('# only a comment\n---\n\n---\na: 1\n'), [{ a: 1 }])
  const third = parseYaml('# c\n---\na: 1\n...\nb: 2\n---\nc:\n- d: 3\n', 'f.yaml').documents[2]
  assert.deepEqual(third?.origin.locate?.('c[0].d'), { line: 8, column: 3 })
})
