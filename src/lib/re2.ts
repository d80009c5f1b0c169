// RE2's regular expressions: users' own run in linear time, never on JavaScript's RegExp, and each has a bounded cost.
// Law: loaded by the first expression. Most meshes have none, and it is three megabytes of every process.
import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'

let engine: typeof RE2JS | undefined

function re2(): typeof RE2JS {
  return (engine ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS)
}

/** Instructions of a compiled expression: `.*a` has 5, and each more of it 3. Istio lets Envoy take 32,768. */
export const mostProgram = 2000
/** Instructions times characters of one match, at worst some 90 ms of a core. */
export const mostWork = 2_000_000

export interface Expression {
  /** The whole value must match. @throws ExpressionTooCostly */
  matches(value: string): boolean
  /** Every match is replaced, in RE2JS' notation (`$1`). @throws ExpressionTooCostly */
  replaceAll(value: string, replacement: string): string
}

/** A value is so long that the expression may take too long over it: whether it matches is not known. */
export class ExpressionTooCostly extends Error {
  readonly expression: string
  /** Characters of the value. */
  readonly length: number

  constructor(expression: string, length: number) {
    super(`a value of ${length} characters is too long for a regular expression of this size`)
    this.expression = expression
    this.length = length
  }
}

/** @throws Error whose message says what is wrong with the text, or that the expression is too large */
export function compileExpression(text: string): Expression {
  const compiled = re2().compile(text)
  const program = compiled.programSize()
  if (program > mostProgram) throw new Error(`it compiles to ${program} instructions, and ${mostProgram} are the most`)
  const longest = Math.floor(mostWork / program)
  const bounded = (value: string): string => {
    if (value.length > longest) throw new ExpressionTooCostly(text, value.length)
    return value
  }
  return {
    matches: (value) => compiled.matches(bounded(value)),
    replaceAll: (value, replacement) => compiled.matcher(bounded(value)).replaceAll(replacement),
  }
}
