// Go's text/template, parsed: text and actions → a tree in which every node knows its place. Strict: what this does not know is an error with line and column, never text.
import { readPipe, type Pipe } from './parse-pipe.ts'
import { TemplateError, type Source } from './source.ts'

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipe: Pipe; readonly at: number }
  | { readonly kind: 'if' | 'with' | 'range'; readonly pipe: Pipe; readonly body: readonly Node[]; readonly otherwise: readonly Node[]; readonly at: number }
  | { readonly kind: 'template'; readonly name: string; readonly pipe: Pipe | undefined; readonly at: number }
  | { readonly kind: 'break' | 'continue'; readonly at: number }

export interface ParsedTemplate {
  readonly source: Source
  readonly body: readonly Node[]
  /** By `define` and `block`. */
  readonly defined: ReadonlyMap<string, readonly Node[]>
}

type Piece = { readonly kind: 'text'; readonly text: string } | { readonly kind: 'action'; readonly from: number; readonly to: number }

/** Throws TemplateError. `functions`: the names that may be called. */
export function parseTemplate(name: string, text: string, functions: ReadonlySet<string>): ParsedTemplate {
  const source: Source = { name, text }
  const parser = new Parser(source, pieces(source), functions)
  const body = parser.nodes([])
  return { source, body: body.nodes, defined: parser.defined }
}

/** `{{`, `}}`, trim markers and comments: what is left of the text, and where the actions stand. */
function pieces(source: Source): Piece[] {
  const { text } = source
  const out: Piece[] = []
  let at = 0
  let trimNext = false
  for (;;) {
    const open = text.indexOf('{{', at)
    let before = text.slice(at, open === -1 ? text.length : open)
    if (trimNext) before = before.replace(/^[ \t\r\n]+/, '')
    if (open === -1) {
      if (before !== '') out.push({ kind: 'text', text: before })
      return out
    }
    let from = open + 2
    if (/^-[ \t\r\n]/.test(text.slice(from, from + 2))) {
      from += 2
      before = before.replace(/[ \t\r\n]+$/, '')
    }
    if (before !== '') out.push({ kind: 'text', text: before })
    const close = endOf(source, from)
    const trims = /[ \t\r\n]-$/.test(text.slice(from, close))
    const to = trims ? close - 1 : close
    trimNext = trims
    at = close + 2
    if (!text.slice(from, to).trim().startsWith('/*')) out.push({ kind: 'action', from, to })
  }
}

/** Where the action's `}}` stands; one within a string or a comment ends nothing. */
function endOf(source: Source, from: number): number {
  const { text } = source
  const comment = /^[ \t\r\n]*\/\*/.exec(text.slice(from, from + 200))
  if (comment !== null) {
    const end = text.indexOf('*/', from)
    if (end === -1) throw new TemplateError(source, from, 'this comment has no end')
    const after = /^[ \t\r\n]*-?\}\}/.exec(text.slice(end + 2))
    if (after === null) throw new TemplateError(source, end, 'a comment must fill its action: {{/* … */}}')
    return end + 2 + after[0].length - 2
  }
  for (let i = from; i < text.length; i++) {
    const char = text[i]
    if (char === '}' && text[i + 1] === '}') return i
    if (char === '"' || char === '`' || char === "'") {
      const end = endOfString(text, i)
      if (end === -1) throw new TemplateError(source, i, 'this string has no end')
      i = end
    }
  }
  throw new TemplateError(source, from - 2, 'this action has no end')
}

export function endOfString(text: string, from: number): number {
  const quote = text[from]
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === quote) return i
    if (quote !== '`' && text[i] === '\\') i++
    else if (quote !== '`' && text[i] === '\n') return -1
  }
  return -1
}

const keyword = /^[ \t\r\n]*(if|else|end|range|with|define|block|template|break|continue)(?![\w.])/

class Parser {
  readonly defined = new Map<string, readonly Node[]>()
  readonly #source: Source
  readonly #pieces: readonly Piece[]
  readonly #functions: ReadonlySet<string>
  #next = 0
  #loops = 0

  constructor(source: Source, list: readonly Piece[], functions: ReadonlySet<string>) {
    this.#source = source
    this.#pieces = list
    this.#functions = functions
  }

  /** Up to `end` or `else`, or to the end of the text where nothing is open. */
  nodes(variables: string[], openedAt?: number): { nodes: Node[]; ended: 'end' | 'else' | undefined; from: number; to: number } {
    const nodes: Node[] = []
    for (;;) {
      const piece = this.#pieces[this.#next++]
      if (piece === undefined) {
        if (openedAt !== undefined) throw this.#error(openedAt, 'this has no {{end}}')
        return { nodes, ended: undefined, from: 0, to: 0 }
      }
      if (piece.kind === 'text') {
        nodes.push(piece)
        continue
      }
      const { text } = this.#source
      const found = keyword.exec(text.slice(piece.from, piece.to))
      const word = found?.[1]
      const from = piece.from + (found?.[0].length ?? 0)
      if (word === 'end' || word === 'else') {
        if (openedAt === undefined) throw this.#error(piece.from, `{{${word}}} with nothing open`)
        return { nodes, ended: word, from, to: piece.to }
      }
      const node = word === undefined ? this.#print(piece.from, piece.to, variables) : this.#block(word, piece.from, from, piece.to, variables)
      if (node !== undefined) nodes.push(node)
    }
  }

  #print(from: number, to: number, variables: string[]): Node {
    return { kind: 'print', pipe: this.#pipe(from, to, variables), at: from }
  }

  #pipe(from: number, to: number, variables: string[]): Pipe {
    return readPipe(this.#source, from, to, variables, this.#functions)
  }

  #block(word: string, at: number, from: number, to: number, variables: string[]): Node | undefined {
    if (word === 'if' || word === 'with' || word === 'range') return this.#branch(word, at, from, to, variables)
    if (word === 'break' || word === 'continue') {
      if (this.#loops === 0) throw this.#error(at, `{{${word}}} outside of {{range}}`)
      return { kind: word, at }
    }
    const { text } = this.#source
    const named = /^[ \t\r\n]*("(?:[^"\\\n]|\\.)*"|`[^`]*`)/.exec(text.slice(from, to))
    if (named === null) throw this.#error(from, `{{${word}}} needs a name in quotes`)
    const name = (named[1] ?? '').slice(1, -1)
    const rest = from + named[0].length
    const hasPipe = text.slice(rest, to).trim() !== ''
    if (word === 'template') return { kind: 'template', name, pipe: hasPipe ? this.#pipe(rest, to, variables) : undefined, at }
    if (word === 'define' && hasPipe) throw this.#error(rest, '{{define}} takes a name and nothing else')
    const pipe = word === 'block' ? this.#pipe(rest, to, variables) : undefined
    const body = this.nodes(['$'], at)
    if (body.ended !== 'end') throw this.#error(at, `{{${word}}} has no {{else}}`)
    this.defined.set(name, body.nodes)
    return pipe === undefined ? undefined : { kind: 'template', name, pipe, at }
  }

  #branch(kind: 'if' | 'with' | 'range', at: number, from: number, to: number, variables: string[]): Node {
    const inner = [...variables]
    const pipe = this.#pipe(from, to, inner)
    if (kind === 'range') this.#loops++
    const then = this.nodes([...inner], at)
    if (kind === 'range') this.#loops--
    if (then.ended === 'end') return { kind, pipe, body: then.nodes, otherwise: [], at }
    // `{{else if x}}` is an if of its own, with one end for both.
    const chained = /^[ \t\r\n]*(if|with)(?![\w.])/.exec(this.#source.text.slice(then.from, then.to))
    if (chained !== null) return { kind, pipe, body: then.nodes, otherwise: [this.#branch(chained[1] as 'if', then.from, then.from + chained[0].length, then.to, [...inner])], at }
    if (this.#source.text.slice(then.from, then.to).trim() !== '') throw this.#error(then.from, '{{else}} takes nothing, or an if')
    const otherwise = this.nodes([...inner], at)
    if (otherwise.ended !== 'end') throw this.#error(at, 'a second {{else}}')
    return { kind, pipe, body: then.nodes, otherwise: otherwise.nodes, at }
  }

  #error(at: number, message: string): TemplateError {
    return new TemplateError(this.#source, at, message)
  }
}
