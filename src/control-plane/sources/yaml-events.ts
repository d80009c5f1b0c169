// YAML text → the parser's events, with what kubectl's parser (go-yaml) takes and a strict one does not.
// Law: what is masked keeps its length, and values are taken from the text as it is, so that every offset holds.
import { YAMLException, parseEvents, type Event } from 'js-yaml'

const scalarEvent = 4
/** Single and double quotes. */
const quotedStyles: ReadonlySet<number> = new Set([2, 3])
/** Each joint costs another reading: so many characters, and no more. */
const mostReadAgain = 20_000_000

export function readEvents(source: string): Event[] {
  let text = masked(source)
  const joints: number[] = []
  for (;;) {
    try {
      const events = parseEvents(text, {})
      // Within quotes a break of lines has a meaning.
      if (joints.some((at) => events.some((e) => e.type === scalarEvent && quotedStyles.has(e.style) && e.valueStart <= at && at < e.valueEnd))) return parseEvents(masked(source), {})
      return events
    } catch (error) {
      const joined = (joints.length + 1) * source.length <= mostReadAgain ? joinedBefore(text, error) : undefined
      if (joined === undefined) throw error
      joints.push(joined.at)
      text = joined.text
    }
  }
}

/** In `[2001:db8::]` the last colon is text for kubectl's parser and the sign of a key for YAML 1.2. */
function masked(source: string): string {
  return source.replace(/(?<=[^\s'"[\]{},]):(?=[,\]}])/g, '_')
}

/** Within […] and {…} indentation means nothing, whatever YAML 1.2 says of a `]` below its key: for the parser the line goes on. */
function joinedBefore(text: string, error: unknown): { readonly text: string; readonly at: number } | undefined {
  if (!(error instanceof YAMLException) || error.reason !== 'deficient indentation') return undefined
  const end = (error.mark as { readonly position?: number } | undefined)?.position ?? 0
  const start = gapBefore(text, end)
  const gap = text.slice(start, end)
  if (!gap.includes('\n') || !(/[\]}]/.test(text.charAt(end)) || /[,[{]/.test(text.charAt(start - 1)))) return undefined
  return { text: text.slice(0, start) + ' '.repeat(gap.length) + text.slice(end), at: start }
}

/** Where the space and the comments before `end` begin. */
function gapBefore(text: string, end: number): number {
  for (let start = end; ; ) {
    while (start > 0 && /\s/.test(text.charAt(start - 1))) start--
    const line = text.lastIndexOf('\n', start - 1) + 1
    const comment = text.slice(line, start).replace(/"(?:\\.|[^"\\])*"|'[^']*'/g, (quoted) => '_'.repeat(quoted.length)).search(/(?:^|\s)#/)
    if (start === 0 || comment === -1) return start
    start = line + comment
  }
}
