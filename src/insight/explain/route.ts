// A single clause of a match against a request: what --why-not names the failing one by. Routes themselves are taken by the engine.
import { compileExpression } from '#lib/re2.ts'
import type { HttpMatch, StringMatch } from '#plan'

export interface RequestFacts {
  readonly authority: string
  readonly path: string
  readonly method: string
  readonly scheme: string
  /** The lines of each. */
  readonly headers: Readonly<Record<string, readonly string[]>>
}

/** `want` against the path alone, without its query. */
export function pathMatches(want: NonNullable<HttpMatch['path']>, path: string, ignoreCase: boolean): boolean {
  if ('regex' in want) return fullMatch(want.regex, path)
  const fold = (s: string): string => (ignoreCase ? s.toLowerCase() : s)
  return 'exact' in want ? fold(path) === fold(want.exact) : fold(path).startsWith(fold(want.prefix))
}

/** An absent value matches nothing, not even an empty prefix. */
export function textMatches(want: StringMatch, value: string | undefined): boolean {
  if (value === undefined) return false
  if ('present' in want) return true
  if ('exact' in want) return value === want.exact
  return 'prefix' in want ? value.startsWith(want.prefix) : fullMatch(want.regex, value)
}

function fullMatch(regex: string, value: string): boolean {
  try {
    return compileExpression(regex).matches(value)
  } catch {
    return false
  }
}
