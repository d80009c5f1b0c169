// The examples of docs/explain.md are what is printed: each block that begins with a command, run over the files that it names.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { explain, formatExplanation, formatNotApplied, whyNot } from '#insight'
import { buildMesh } from '#mesh'
import { decodeObjects, readFiles } from '#sources'

const page = readFileSync('docs/explain.md', 'utf8')
const blocks = [...page.matchAll(/```\n\$ kith explain ([^\n]+)\n([\s\S]+?)\n```/g)].map(([, command = '', printed = '']) => ({ command, printed }))

test('the page has its examples', () => assert.ok(blocks.length >= 3, `${blocks.length}`))

for (const { command, printed } of blocks) {
  test(`docs/explain.md: ${command.split(' -f')[0]}`, () => {
    const [from = '', to = '', ...rest] = command.split(' ')
    const files = rest.flatMap((word, i) => (rest[i - 1] === '-f' ? [word] : []))
    const mesh = buildMesh(decodeObjects(readFiles(files).documents).objects)
    const call = { from, to, method: 'GET' }
    const answer = explain(mesh, call)
    const text = formatExplanation(answer) + (rest.includes('--why-not') ? `\n${formatNotApplied(whyNot(mesh, call, answer))}` : '')
    // The numbers beside the lines are the page's own.
    assert.equal(printed.replace(/ +[①-⑳]$/gm, ''), text.trimEnd())
  })
}
