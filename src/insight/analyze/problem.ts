// How analyzers say things: a code, its level, the object and field, a sentence.
import { refTo, type ApiObject } from '#api'
import type { Problem, Severity } from '#lib/problem.ts'

export function say(code: string, severity: Severity, object: ApiObject, path: string, message: string, help?: string): Problem {
  return { code, severity, ref: refTo(object, path), message, ...(help === undefined ? {} : { help }) }
}

/** IST0101: `what` (host, gateway, selector …) names something that does not exist. */
export const notFound = (object: ApiObject, path: string, what: string, name: string, help?: string): Problem => say('IST0101', 'error', object, path, `Referenced ${what} not found: "${name}"`, help)
