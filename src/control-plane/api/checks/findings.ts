// What a check says about an object: errors that refuse it, warnings that do not.
import type { Problem, Severity } from '#lib/problem.ts'
import { refTo, type ApiObject } from '../object.ts'

export class Findings {
  readonly problems: Problem[]
  readonly #object: ApiObject
  readonly #warns: boolean
  constructor(object: ApiObject, problems: Problem[] = [], warns = true) {
    this.#object = object
    this.problems = problems
    this.#warns = warns
  }

  /** The same collection, deaf to warnings: where Istio drops them. */
  errorsOnly(): Findings {
    return new Findings(this.#object, this.problems, false)
  }

  /** Istio's webhook refuses this. `message` may be undefined: then there is nothing to say. */
  error(path: string, message: string | undefined, help?: string): void {
    if (message !== undefined) this.#add('IST0106', 'error', path, message, help)
  }

  /** Istio's webhook warns of this. */
  warn(path: string, message: string, help?: string): void {
    if (this.#warns) this.#add('IST0133', 'warning', path, message, help)
  }

  /** A finding that has a code of its own. */
  say(code: string, severity: Severity, path: string, message: string): void {
    this.#add(code, severity, path, message)
  }

  #add(code: string, severity: Severity, path: string, message: string, help?: string): void {
    this.problems.push({ code, severity, ref: refTo(this.#object, path), message, ...(help === undefined ? {} : { help }) })
  }
}
