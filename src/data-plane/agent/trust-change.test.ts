import assert from 'node:assert/strict'
import { test } from 'node:test'
import { selfSignedAuthority } from '#ca'
import { renewalMark } from '#xds'
import { isOutdated, trustedRoots } from './trust-change.ts'

test('a certificate is renewed where other roots hold, or where it comes from before the mark; not otherwise', async () => {
  const [a, b] = await Promise.all([selfSignedAuthority('x', Date.now()), selfSignedAuthority('x', Date.now())])
  const [made, day] = [1_000_000_000_000, 86_400_000]
  // As the CA makes them: they begin two minutes early.
  const certificate = { roots: a.roots, notBeforeMs: made - 120_000, notAfterMs: made + day }
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['the same', a.roots, false], ['the same, said with other spaces', a.roots.replaceAll('\n', '\r\n'), false], ['another beside it', a.roots + b.roots, true], ['another instead', b.roots, true],
    ['marked before it was made', renewalMark(made - 1000) + a.roots, false], ['marked after', renewalMark(made + 1000) + a.roots, true], ['nothing', '', false], ['no roots', 'hello', false],
  ]
  for (const [what, announced, yes] of rows) assert.equal(isOutdated(certificate, announced), yes, what)
  assert.equal(isOutdated({ ...certificate, roots: a.roots + b.roots }, b.roots + a.roots), false, 'order is no difference')
  const short = { roots: a.roots, notBeforeMs: made - 3000, notAfterMs: made + 3000 }
  assert.deepEqual([isOutdated(short, renewalMark(made - 1) + a.roots), isOutdated(short, renewalMark(made + 1) + a.roots)], [false, true], 'one that lives shortly begins as early as it lives long')
})

test('mounted roots count beside those of the CA, each once; without any, the CA’s alone', async () => {
  const [a, b] = await Promise.all([selfSignedAuthority('x', Date.now()), selfSignedAuthority('x', Date.now())])
  assert.equal(trustedRoots({ roots: a.roots, mounted: a.roots + b.roots }), a.roots + b.roots)
  for (const mounted of [undefined, '', a.roots]) assert.equal(trustedRoots({ roots: a.roots, ...(mounted === undefined ? {} : { mounted }) }), a.roots)
})
