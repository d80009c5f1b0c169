// A parsed template and its data → text. Law: ends, whatever the template (bounded output, depth and loops); every error names its place; nothing of this process is in reach.
import { isRecord } from '#api'
import type { Node, ParsedTemplate } from './parse.ts'
import type { Command, Pipe, Term } from './parse-pipe.ts'
import { TemplateError } from './source.ts'
import { isTrue, printed, Struct } from './values.ts'

export type TemplateFunction = (...args: unknown[]) => unknown
export type TemplateFunctions = Readonly<Record<string, TemplateFunction>>

const mostOutput = 1_000_000
const mostSteps = 200_000
const mostDepth = 100

type Flow = 'on' | 'break' | 'continue'

/** Throws TemplateError. */
export function runTemplate(template: ParsedTemplate, data: unknown, functions: TemplateFunctions): string {
  return new Run(template, functions).all(data)
}

class Run {
  readonly #template: ParsedTemplate
  readonly #functions: TemplateFunctions
  readonly #out: string[] = []
  #length = 0
  #steps = 0

  constructor(template: ParsedTemplate, functions: TemplateFunctions) {
    this.#template = template
    this.#functions = functions
  }

  all(data: unknown): string {
    this.#nodes(this.#template.body, data, new Scope(undefined, { $: data }), 0)
    return this.#out.join('')
  }

  #nodes(nodes: readonly Node[], dot: unknown, scope: Scope, depth: number): Flow {
    for (const node of nodes) {
      const flow = this.#node(node, dot, scope, depth)
      if (flow !== 'on') return flow
    }
    return 'on'
  }

  #node(node: Node, dot: unknown, scope: Scope, depth: number): Flow {
    this.#step(1, node.kind === 'text' ? 0 : node.at)
    switch (node.kind) {
      case 'text':
        this.#write(node.text, 0)
        return 'on'
      case 'print': {
        const value = this.#pipe(node.pipe, dot, scope)
        if (node.pipe.declares.length === 0) this.#write(this.#shown(value, node), node.at)
        return 'on'
      }
      case 'if':
      case 'with': {
        const inner = new Scope(scope)
        const value = this.#pipe(node.pipe, dot, inner)
        if (!isTrue(value)) return this.#nodes(node.otherwise, dot, inner, depth)
        return this.#nodes(node.body, node.kind === 'with' ? value : dot, inner, depth)
      }
      case 'range':
        return this.#range(node, dot, scope, depth)
      case 'template': {
        const body = this.#template.defined.get(node.name)
        if (body === undefined) throw this.#error(node.at, `there is no template ${JSON.stringify(node.name)}`)
        if (depth >= mostDepth) throw this.#error(node.at, 'templates call each other too deeply')
        const data = node.pipe === undefined ? undefined : this.#pipe(node.pipe, dot, scope)
        this.#nodes(body, data, new Scope(undefined, { $: data }), depth + 1)
        return 'on'
      }
      case 'break':
      case 'continue':
        return node.kind
    }
  }

  #range(node: Extract<Node, { readonly kind: 'if' | 'with' | 'range' }>, dot: unknown, scope: Scope, depth: number): Flow {
    const list = this.#pipe({ ...node.pipe, declares: [] }, dot, scope)
    const items = itemsOf(list)
    if (items === undefined) throw this.#error(node.at, `range needs a list, a map or a number, not ${printed(list)}`)
    if (items.length === 0) return this.#nodes(node.otherwise, dot, new Scope(scope), depth)
    const [first, second] = node.pipe.declares
    for (const [key, value] of items) {
      this.#step(1, node.at)
      const inner = new Scope(scope)
      const set = (name: string, v: unknown): void => (node.pipe.assigns ? void inner.assign(name, v) : inner.declare(name, v))
      if (first !== undefined) set(first, second === undefined ? value : key)
      if (second !== undefined) set(second, value)
      if (this.#nodes(node.body, value, inner, depth) === 'break') break
    }
    return 'on'
  }

  #pipe(pipe: Pipe, dot: unknown, scope: Scope): unknown {
    let value: unknown
    pipe.commands.forEach((command, i) => {
      value = this.#command(command, dot, scope, i === 0 ? [] : [value])
    })
    for (const name of pipe.declares) {
      if (pipe.assigns) scope.assign(name, value)
      else scope.declare(name, value)
    }
    return value
  }

  #command({ terms, at }: Command, dot: unknown, scope: Scope, last: readonly unknown[]): unknown {
    const [head, ...rest] = terms as [Term, ...Term[]]
    if (head.kind !== 'function') return this.#term(head, dot, scope)
    // Only as much is evaluated as decides.
    if (head.name === 'and' || head.name === 'or') {
      let value: unknown
      for (const [i, term] of rest.entries()) {
        value = this.#term(term, dot, scope)
        if (isTrue(value) === (head.name === 'or')) return value
        if (i === rest.length - 1 && last.length === 0) return value
      }
      return last.length > 0 ? last[0] : value
    }
    const args = rest.map((t) => this.#term(t, dot, scope))
    const call = this.#functions[head.name]
    if (call === undefined) throw this.#error(at, `there is no function ${head.name}`)
    try {
      const result = call(...args, ...last)
      // What a function makes is work too: lists count by their length, texts by what may be written at all.
      if (Array.isArray(result)) this.#step(result.length, at)
      if (typeof result === 'string' && result.length > mostOutput) throw this.#error(at, 'the result is too large')
      return result
    } catch (error) {
      if (error instanceof TemplateError) throw error
      throw this.#error(at, `${head.name}: ${(error as Error).message}`)
    }
  }

  #term(term: Term, dot: unknown, scope: Scope): unknown {
    if (term.kind === 'function') return this.#command({ terms: [term], at: term.at }, dot, scope, [])
    let value = this.#base(term, dot, scope)
    let path = term.kind === 'variable' ? term.name : ''
    for (const name of term.fields) {
      value = this.#field(value, name, path, term.at)
      path += `.${name}`
    }
    return value
  }

  #base(term: Exclude<Term, { readonly kind: 'function' }>, dot: unknown, scope: Scope): unknown {
    switch (term.kind) {
      case 'dot':
        return dot
      case 'nil':
        return undefined
      case 'literal':
        return term.value
      case 'variable':
        return scope.read(term.name)
      case 'pipe':
        return this.#pipe(term.pipe, dot, new Scope(scope))
    }
  }

  #field(value: unknown, name: string, path: string, at: number): unknown {
    if (value instanceof Struct) return value.field(name)
    if (isRecord(value)) return Object.hasOwn(value, name) ? value[name] : undefined
    // What is not set has fields that are not set, as in Go; what comes of it must not be written, see #shown.
    if (value === undefined || value === null) return undefined
    // What Go's enums and wrappers offer of themselves.
    if (name === 'String' || name === 'GetValue' || name === 'Value') return value
    throw this.#error(at, `${path === '' ? 'the value' : path} is ${printed(value).slice(0, 40)}, which has no ${name}`)
  }

  /** What is not there can't be written: Go writes `<no value>`, and a pod with that in it would be wrong in a way that nobody sees. */
  #shown(value: unknown, node: Extract<Node, { readonly kind: 'print' }>): string {
    if (value !== undefined && value !== null) return printed(value)
    const term = node.pipe.commands.length === 1 && node.pipe.commands[0]?.terms.length === 1 ? node.pipe.commands[0].terms[0] : undefined
    if (term !== undefined && (term.kind === 'dot' || term.kind === 'variable') && term.fields[0] === 'Values') throw this.#error(term.at, `.${term.fields.join('.')} is not set; valueOrDefault gives it another value`)
    return ''
  }

  #step(by: number, at: number): void {
    this.#steps += by
    if (this.#steps > mostSteps) throw this.#error(at, 'this takes too many steps')
  }

  #write(text: string, at: number): void {
    this.#length += text.length
    if (this.#length > mostOutput) throw this.#error(at, 'the result is too large')
    this.#out.push(text)
  }

  #error(at: number, message: string): TemplateError {
    return new TemplateError(this.#template.source, at, message)
  }
}

class Scope {
  readonly #outer: Scope | undefined
  readonly #own: Map<string, unknown>
  constructor(outer: Scope | undefined, own: Readonly<Record<string, unknown>> = {}) {
    this.#outer = outer
    this.#own = new Map(Object.entries(own))
  }
  declare(name: string, value: unknown): void {
    this.#own.set(name, value)
  }
  assign(name: string, value: unknown): void {
    if (this.#own.has(name) || this.#outer === undefined) this.#own.set(name, value)
    else this.#outer.assign(name, value)
  }
  read(name: string): unknown {
    return this.#own.has(name) ? this.#own.get(name) : this.#outer?.read(name)
  }
}

/** Maps in the order of their keys, as Go ranges over them. */
function itemsOf(list: unknown): (readonly [unknown, unknown])[] | undefined {
  if (list === undefined || list === null) return []
  if (Array.isArray(list)) return list.map((v, i) => [i, v] as const)
  if (typeof list === 'number') return Array.from({ length: Math.min(Math.max(0, Math.trunc(list)), 10_000) }, (_, i) => [i, i] as const)
  if (isRecord(list) && !(list instanceof Struct)) return Object.keys(list).toSorted().map((k) => [k, list[k]] as const)
  return undefined
}
