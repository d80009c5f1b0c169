// Quoted scalars that go on at or before their key's own indentation, found by their look: `key: "…` to the closing quote.
// Law: what is found may be wrong; the reader checks each against what the parser makes of it.

export interface Break {
  readonly at: number
  readonly end: number
}

const opening = /^([ ]*)((?:- +)*)(?:[\w.$/-]+:[ ]+)?(?:[&!]\S+[ ]+)*(["'])/gm
const bodies: Readonly<Record<string, RegExp>> = { '"': /(?:\\[^]|[^"\\])*"/y, "'": /(?:''|[^'])*'/y }

/** Their line breaks, with the white space around them, where the next line is not indented more than the key. */
export function continuedQuotes(source: string): readonly Break[] {
  const found: Break[] = []
  opening.lastIndex = 0
  for (let match = opening.exec(source); match !== null; match = opening.exec(source)) {
    const [head, indent = '', dashes = '', quote = ''] = match
    const start = match.index + head.length
    const body = bodies[quote] as RegExp
    body.lastIndex = start
    const length = body.exec(source)?.[0].length
    if (length === undefined) continue
    found.push(...breaksIn(source, start, start + length, indent.length + dashes.length))
    opening.lastIndex = start + length
  }
  return found
}

function breaksIn(source: string, start: number, end: number, indent: number): Break[] {
  const lines = source.slice(start, end).matchAll(/[ \t]*\r?\n\s*/g)
  return [...lines].flatMap((gap) => {
    const place = { at: start + gap.index, end: start + gap.index + gap[0].length }
    const column = place.end - (source.lastIndexOf('\n', place.end - 1) + 1)
    return column <= indent ? [place] : []
  })
}
