// Bytes drawn from examples: cut, doubled, joined, with words put in and bits turned over.
import fc from 'fast-check'

type Change =
  | { readonly kind: 'flip'; readonly at: number; readonly value: number }
  | { readonly kind: 'cut' | 'double'; readonly at: number; readonly length: number }
  | { readonly kind: 'word'; readonly at: number; readonly word: Buffer }

const place = fc.nat(1 << 20)

/** One of `examples`, or several in a row, with up to 8 changes. `words`: what is put in, besides single bytes. */
export function mutated(examples: fc.Arbitrary<Buffer>, words: readonly string[]): fc.Arbitrary<Buffer> {
  const word = fc.oneof(fc.constantFrom(...words).map((w) => Buffer.from(w, 'latin1')), fc.uint8Array({ minLength: 1, maxLength: 4 }).map((b) => Buffer.from(b)))
  const change: fc.Arbitrary<Change> = fc.oneof(
    fc.record({ kind: fc.constant('flip' as const), at: place, value: fc.integer({ min: 1, max: 255 }) }),
    fc.record({ kind: fc.constantFrom('cut' as const, 'double' as const), at: place, length: fc.integer({ min: 1, max: 40 }) }),
    fc.record({ kind: fc.constant('word' as const), at: place, word }),
  )
  return fc.tuple(fc.array(examples, { minLength: 1, maxLength: 3 }), fc.array(change, { maxLength: 8 })).map(([parts, changes]) => changes.reduce(changed, Buffer.concat(parts)))
}

function changed(bytes: Buffer, change: Change): Buffer {
  const at = change.at % (bytes.length + 1)
  const [before, behind] = [bytes.subarray(0, at), bytes.subarray(at)]
  switch (change.kind) {
    case 'flip':
      return Buffer.concat([before, behind.subarray(0, 1).map((b) => b ^ change.value), behind.subarray(1)])
    case 'cut':
      return Buffer.concat([before, behind.subarray(change.length)])
    case 'double':
      return Buffer.concat([before, behind.subarray(0, change.length), behind])
    case 'word':
      return Buffer.concat([before, change.word, behind])
  }
}

/** Where a text of `length` is cut into pieces: rising places. */
export function cuts(length: number, drawn: readonly number[]): number[] {
  return [...new Set([...drawn.map((d) => d % (length + 1)), length])].sort((a, b) => a - b)
}
