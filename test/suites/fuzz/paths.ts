// Normalisation of paths: what comes out has nothing left that an application could still resolve, and the query is untouched.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { normalizePath, type PathRules } from '../../../src/data-plane/engine/path-normalize.ts'
import type { Target } from './target.ts'

const piece = fc.oneof(fc.constantFrom('/', '//', '.', '..', '/./', '/../', '%2e', '%2E%2e', '%2f', '%5C', '%5c', '\\', '%25', '%252e', '%', '%zz', '%00', ';', '..;', '?', '#', 'a', 'admin', '~', '%41', '%7e', '*', '+'), fc.stringMatching(/^[\x21-\x7e]{1,3}$/))
const target = fc.array(piece, { maxLength: 12 }).map((p) => `/${p.join('')}`)
const rules: fc.Arbitrary<PathRules> = fc.record({ normalizePath: fc.boolean(), mergeSlashes: fc.boolean(), escapedSlashes: fc.constantFrom('KEEP', 'REJECT', 'REDIRECT', 'FORWARD') })
/** A `%` that begins no escape. */
const malformed = /%(?![0-9A-Fa-f]{2})/

const split = (path: string): readonly [string, string] => {
  const at = path.indexOf('?')
  return at === -1 ? [path, ''] : [path.slice(0, at), path.slice(at)]
}

export const paths: Target = {
  name: 'paths',
  async open() {
    const property = fc.property(target, rules, (path, how) => {
      const answer = normalizePath(path, how)
      if (answer.kind === 'reject') return
      const [plain, query] = split(answer.path)
      assert.ok(plain.startsWith('/'))
      assert.equal(query, split(path)[1])
      if (how.mergeSlashes) assert.ok(!plain.includes('//'), plain)
      if (how.escapedSlashes !== 'KEEP' && answer.kind === 'path') assert.doesNotMatch(plain, malformed.test(path) ? /$^/ : /%2f|%5c/i)
      if (!how.normalizePath) return
      assert.doesNotMatch(plain, /\\|\/\.\.?(\/|$)/)
      if (malformed.test(split(path)[0])) return
      assert.doesNotMatch(plain, /%(2e|7e|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9a]|3[0-9]|2d|5f)/i)
      assert.deepEqual(normalizePath(answer.path, how), { kind: 'path', path: answer.path }, 'a second time it changes')
    })
    return { property: property as fc.IProperty<unknown>, close: async () => undefined }
  },
}
