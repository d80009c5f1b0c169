// What stands inside an action: `$x := annotation .ObjectMeta "a" "b" | quote` → declarations and commands.
import { nearest } from '#lib/nearest.ts'
import { TemplateError, type Source } from './source.ts'

export interface Pipe {
  /** `$x :=` or `$i, $x :=`; with `=` the variable is one that is there. */
  readonly declares: readonly string[]
  readonly assigns: boolean
  readonly commands: readonly Command[]
}

export interface Command {
  readonly terms: readonly Term[]
  readonly at: number
}

export type Term = { readonly at: number; readonly fields: readonly string[] } & (
  | { readonly kind: 'dot' | 'nil' }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'pipe'; readonly pipe: Pipe }
)

/** `variables` grows by what the pipe declares. */
export function readPipe(source: Source, from: number, to: number, variables: string[], functions: ReadonlySet<string>): Pipe {
  const reader = new Reader(source, from, to, variables, functions)
  const pipe = reader.pipe(true)
  reader.done()
  return pipe
}

class Reader {
  readonly #source: Source
  readonly #to: number
  readonly #variables: string[]
  readonly #functions: ReadonlySet<string>
  #at: number

  constructor(source: Source, from: number, to: number, variables: string[], functions: ReadonlySet<string>) {
    this.#source = source
    this.#at = from
    this.#to = to
    this.#variables = variables
    this.#functions = functions
  }

  pipe(mayDeclare: boolean): Pipe {
    this.#blank()
    const from = this.#at
    const declared = mayDeclare ? this.#take(/(\$\w+)(?:\s*,\s*(\$\w+))?\s*(:?=)/y) : undefined
    const names = declared === undefined ? [] : [declared[1], declared[2]].filter((n): n is string => n !== undefined)
    const assigns = declared?.[3] === '='
    if (assigns) for (const name of names) if (!this.#variables.includes(name)) throw this.#error(from, `${name} is not declared`)
    const commands: Command[] = []
    do commands.push(this.#command(commands.length > 0))
    while (this.#take(/\|/y) !== undefined)
    if (!assigns) this.#variables.push(...names)
    return { declares: names, assigns, commands }
  }

  done(): void {
    this.#blank()
    if (this.#at < this.#to) throw this.#error(this.#at, `unexpected ${JSON.stringify(this.#source.text.slice(this.#at, Math.min(this.#to, this.#at + 20)))}`)
  }

  #command(piped: boolean): Command {
    this.#blank()
    const at = this.#at
    const terms: Term[] = []
    for (;;) {
      this.#blank()
      const term = this.#term()
      if (term === undefined) break
      terms.push(term)
      if (this.#at < this.#to && !/[\s|)]/.test(this.#source.text[this.#at] ?? '')) throw this.#error(this.#at, `unexpected ${JSON.stringify(this.#source.text[this.#at])}`)
    }
    const first = terms[0]
    if (first === undefined) throw this.#error(at, 'a value is missing')
    if (first.kind !== 'function' && (piped || terms.length > 1)) throw this.#error(first.at, 'only a function can be given arguments')
    return { terms, at }
  }

  #term(): Term | undefined {
    const at = this.#at
    if (this.#take(/\(/y) !== undefined) {
      const pipe = this.pipe(false)
      this.#blank()
      if (this.#take(/\)/y) === undefined) throw this.#error(at, 'this ( has no )')
      return { kind: 'pipe', pipe, at, fields: this.#fields() }
    }
    const variable = this.#take(/\$\w*/y)?.[0]
    if (variable !== undefined) {
      if (variable !== '$' && !this.#variables.includes(variable)) throw this.#error(at, `${variable} is not declared`)
      return { kind: 'variable', name: variable, at, fields: this.#fields() }
    }
    if (this.#source.text[at] === '.' && at < this.#to) {
      const fields = this.#fields()
      if (fields.length === 0) this.#at++
      return { kind: 'dot', at, fields }
    }
    const text = this.#take(/"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)'/y)?.[0]
    if (text !== undefined) return { kind: 'literal', value: this.#unquoted(text, at), at, fields: this.#fields() }
    const number = this.#take(/[+-]?(?:0[xX][\da-fA-F]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)/y)?.[0]
    if (number !== undefined) return { kind: 'literal', value: Number(number.replaceAll('_', '')), at, fields: [] }
    const word = this.#take(/[A-Za-z_]\w*/y)?.[0]
    if (word === undefined) return undefined
    if (word === 'true' || word === 'false') return { kind: 'literal', value: word === 'true', at, fields: [] }
    if (word === 'nil') return { kind: 'nil', at, fields: [] }
    if (!this.#functions.has(word)) {
      const near = nearest(word, [...this.#functions])
      throw this.#error(at, `there is no function ${word}${near === undefined ? '' : `; did you mean ${near}?`}`)
    }
    return { kind: 'function', name: word, at, fields: [] }
  }

  #fields(): string[] {
    const fields: string[] = []
    for (;;) {
      const field = this.#take(/\.([A-Za-z_]\w*)/y)?.[1]
      if (field === undefined) return fields
      fields.push(field)
    }
  }

  #unquoted(text: string, at: number): string | number {
    if (text.startsWith('`')) return text.slice(1, -1)
    const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', '\\': '\\', '"': '"', "'": "'", a: '\u0007', b: '\b', f: '\f', v: '\v', 0: '\0' }
    const value = text.slice(1, -1).replace(/\\(u[\da-fA-F]{4}|x[\da-fA-F]{2}|.)/g, (_, e: string) => {
      if (e.length > 1) return String.fromCodePoint(Number.parseInt(e.slice(1), 16))
      const plain = escapes[e]
      if (plain === undefined) throw this.#error(at, `unknown escape \\${e}`)
      return plain
    })
    return text.startsWith("'") ? (value.codePointAt(0) ?? 0) : value
  }

  #blank(): void {
    this.#take(/\s+/y)
  }

  #take(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source.text)
    if (found === null || pattern.lastIndex > this.#to) return undefined
    this.#at = pattern.lastIndex
    return found
  }

  #error(at: number, message: string): TemplateError {
    return new TemplateError(this.#source, at, message)
  }
}
