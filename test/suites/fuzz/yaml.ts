// YAML: any text ends with documents and problems; what was written is read; a text in quotes may go on at any indentation.
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decode } from '#api'
import { parseYaml } from '#sources'
import { mutated } from './mutate.ts'
import type { Target } from './target.ts'

const policy = `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a, namespace: foo, labels: {x: "y"}}
spec:
  action: DENY
  rules:
  - from: [{source: {principals: ["a/*"]}}]
    to:
    - operation: &o {methods: [GET], paths: ["/x"]}
  - to: [{operation: *o}]
`
const definition = 'kind: CustomResourceDefinition\nspec:\n  a:\n    description: "one\n    two, \'three\' # no comment\n    four"\n    type: string\n    more: >-\n      folded\n      text\n    list: [\n    1, 2, {a: b}\n  ]\n---\n# next\nkind: List\nitems:\n- kind: A\n- null\n'
const texts = fc.constantFrom(policy, definition, 'a: !!str 1\nb: &x [1]\nc: *x\n<<: {d: 1}\n', '{"a": [1, "b\\u0041", null, true]}', 'a: |+\n  x\n\nb: 1\n...\nc: 2\n').map((t) => Buffer.from(t))
const words = ['\n', '  ', '\t', ': ', '- ', '"', "'", '[', ']', '{', '}', ',', '#', ' #', '&a ', '*a', '!', '!!', '|', '>', '%', '---\n', '...\n', '<<: ', '? ', '\r\n', '@', '`', '\0', '\ufeff', 'yes', '0x1', '1e3', '\\', '{{', '- - - ']

interface Quoted {
  readonly words: readonly string[]
  readonly indents: readonly number[]
  readonly quote: '"' | "'"
}

const quoted: fc.Arbitrary<Quoted> = fc.record({
  words: fc.array(fc.stringMatching(/^[a-z#\-[\]{}:,]{1,8}$/), { minLength: 1, maxLength: 12 }),
  indents: fc.array(fc.nat(6), { minLength: 12, maxLength: 12 }),
  quote: fc.constantFrom('"' as const, "'" as const),
})

/** `---` and `...` at the start of a line end a document, in quotes too. */
const indentOf = (word: string, drawn: number): string => ' '.repeat(/^(---|\.\.\.)/.test(word) ? drawn + 1 : drawn)

export const yaml: Target = {
  name: 'yaml',
  async open() {
    const property = fc.property(mutated(texts, words), fc.jsonValue({ maxDepth: 3 }), quoted, (bytes, value, drawn) => {
      ends(bytes.toString('utf8'))
      const read = parseYaml(JSON.stringify({ value }), 'f.yaml')
      assert.deepEqual([read.problems, read.documents[0]?.value], [[], { value: JSON.parse(JSON.stringify(value), withoutMinusZero) as unknown }])
      const lines = drawn.words.map((w, i) => (i === 0 ? w : `\n${indentOf(w, drawn.indents[i] ?? 0)}${w}`)).join('')
      const { documents, problems } = parseYaml(`a:\n  b:\n    c: ${drawn.quote}${lines}${drawn.quote}\n    d: 1\n`, 'f.yaml')
      assert.deepEqual([problems, documents[0]?.value], [[], { a: { b: { c: drawn.words.join(' '), d: 1 } } }])
    })
    return { property: property as fc.IProperty<unknown>, close: async () => undefined }
  },
}

/** YAML has no number of that name. */
const withoutMinusZero = (_key: string, value: unknown): unknown => (Object.is(value, -0) ? 0 : value)

function ends(text: string): void {
  const { documents, problems } = parseYaml(text, 'f.yaml')
  const lines = text.split('\n').length
  for (const { value, origin } of documents) {
    assert.ok((origin.line ?? 1) >= 1 && (origin.line ?? 1) <= lines)
    const { problems: found } = decode(value, origin)
    for (const { ref } of found) assert.ok(ref.line === undefined || (ref.line >= 1 && ref.line <= lines))
  }
  for (const { ref, message } of problems) assert.ok(ref.line !== undefined && ref.line >= 1 && ref.line <= lines + 1 && message !== '')
}
