// YAML text → the parser's events, with what kubectl's parser (go-yaml) takes and a strict one does not.
// Law: what is masked keeps its length, and values are taken from the text as it is, so that every offset holds.
import { YAMLException, parseEvents, type Event } from 'js-yaml'
import { continuedQuotes } from './yaml-quotes.ts'

const scalarEvent = 4
/** Block scalars take their value line by line whether lines were joined or not. */
const blockStyles: ReadonlySet<number> = new Set([4, 5])
/** Each joint costs another reading: so many characters, and no more. */
const mostReadAgain = 20_000_000

type Scalar = Extract<Event, { readonly type: typeof scalarEvent }>

/** Line breaks that the parser is not shown, since kubectl's does not mind how the next line is indented. */
interface Joint {
  readonly at: number
  readonly end: number
  /** `text`: within a scalar, where white space alone is left out. `flow`: between the items of […] and {…}, where a comment is, too. */
  readonly kind: 'text' | 'flow'
}

export function readEvents(source: string): Event[] {
  try {
    return parseEvents(masked(source), {})
  } catch (error) {
    if (!isDeficient(error)) throw error
    return joinedEvents(source, continuedQuotes(source)) ?? joinedEvents(source, []) ?? fail(error)
  }
}

function fail(error: unknown): never {
  throw error
}

/** `known`: breaks within quotes that were found without the parser. undefined: that way the text can't be read. */
function joinedEvents(source: string, known: readonly { readonly at: number; readonly end: number }[]): Event[] | undefined {
  const joints: Joint[] = known.map((k) => ({ ...k, kind: 'text' }))
  const asText = new Set<number>()
  let text = joints.reduce(joined, masked(source))
  for (let readings = 1; readings * source.length <= mostReadAgain; readings++) {
    try {
      const events = parseEvents(text, {})
      const wrong = misplaced(events, joints, source)
      if (wrong === undefined) return events
      if (wrong.kind === 'text' || asText.has(wrong.end)) return undefined
      // A `#` within quotes was taken for a comment.
      asText.add(wrong.end)
      joints.length = 0
      text = masked(source)
    } catch (error) {
      const joint = isDeficient(error) ? jointBefore(text, positionOf(error), asText) : undefined
      if (joint === undefined) return undefined
      joints.push(joint)
      text = joined(text, joint)
    }
  }
  return undefined
}

function isDeficient(error: unknown): error is YAMLException {
  return error instanceof YAMLException && error.reason === 'deficient indentation'
}

function positionOf(error: YAMLException): number {
  return (error.mark as { readonly position?: number } | undefined)?.position ?? 0
}

/** In `[2001:db8::]` the last colon is text for kubectl's parser and the sign of a key for YAML 1.2. */
function masked(source: string): string {
  return source.replace(/(?<=[^\s'"[\]{},]):(?=[,\]}])/g, '_')
}

function joined(text: string, { at, end }: Pick<Joint, 'at' | 'end'>): string {
  return text.slice(0, at) + ' '.repeat(end - at) + text.slice(end)
}

/** Within quotes, […] and {…} indentation means nothing, whatever YAML 1.2 says of a line below its key. */
function jointBefore(text: string, end: number, asText: ReadonlySet<number>): Joint | undefined {
  const start = gapBefore(text, end)
  const isFlow = /[\]}]/.test(text.charAt(end)) || /[,[{]/.test(text.charAt(start - 1))
  const joint: Joint = isFlow && !asText.has(end) ? { at: start, end, kind: 'flow' } : { at: text.slice(0, end).trimEnd().length, end, kind: 'text' }
  return text.slice(joint.at, end).includes('\n') ? joint : undefined
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

/** The first joint that is not where it was thought to be. Scalars that hold one are read line by line. */
function misplaced(events: readonly Event[], joints: readonly Joint[], source: string): Joint | undefined {
  const scalars = events.filter((e): e is Scalar => e.type === scalarEvent && e.valueStart >= 0)
  return joints.find((joint) => {
    const around = scalarAround(scalars, joint.at)
    if (joint.kind === 'flow') {
      // White space alone is the same in a scalar.
      if (around === undefined) return false
      if (source.slice(joint.at, joint.end).trim() !== '') return true
    }
    if (around === undefined || isKey(source, around)) return true
    if (!blockStyles.has(around.style)) (around as { fast?: boolean }).fast = false
    return false
  })
}

/** A key stands on one line, for kubectl too. */
function isKey(source: string, scalar: Scalar): boolean {
  return /^["']?[ \t]*:(?:\s|$)/.test(source.slice(scalar.valueEnd, scalar.valueEnd + 100))
}

/** Scalars stand in the order of the text. */
function scalarAround(scalars: readonly Scalar[], at: number): Scalar | undefined {
  let [low, high] = [0, scalars.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((scalars[middle] as Scalar).valueEnd < at) low = middle + 1
    else high = middle
  }
  const found = scalars[low]
  return found !== undefined && found.valueStart <= at && at <= found.valueEnd ? found : undefined
}
