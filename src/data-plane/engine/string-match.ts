// StringMatcher and RegexMatcher as functions. Law: users' regular expressions run on RE2's rules, in linear time, never on JavaScript's RegExp.
import { compileExpression, type Expression } from '#lib/re2.ts'
import type { Notes } from './notes.ts'
import type { StringMatcher } from '../../../generated/types/envoy/type/matcher/v3/string_pb.ts'
import type { RegexMatchAndSubstitute } from '../../../generated/types/envoy/type/matcher/v3/regex_pb.ts'

export interface CompiledString {
  readonly test: (value: string) => boolean
  /** For log lines: `exact "spiffe://…"`. */
  readonly text: string
}

const never: CompiledString = { test: () => false, text: 'nothing' }

/** A matcher that matches nothing where the message is broken (an error is noted). */
export function compileString(matcher: StringMatcher | undefined, notes: Notes): CompiledString {
  const pattern = matcher?.matchPattern
  if (matcher === undefined || pattern === undefined || pattern.case === undefined) {
    notes.error('string matcher has no pattern')
    return never
  }
  const fold = matcher.ignoreCase
  const low = (s: string) => (fold ? s.toLowerCase() : s)
  switch (pattern.case) {
    case 'exact': {
      const want = low(pattern.value)
      return { test: (v) => low(v) === want, text: pattern.value }
    }
    case 'prefix': {
      const want = low(pattern.value)
      return { test: (v) => low(v).startsWith(want), text: `${pattern.value}*` }
    }
    case 'suffix': {
      const want = low(pattern.value)
      return { test: (v) => low(v).endsWith(want), text: `*${pattern.value}` }
    }
    case 'contains': {
      const want = low(pattern.value)
      return { test: (v) => low(v).includes(want), text: `*${pattern.value}*` }
    }
    case 'safeRegex':
      return compileRegex(pattern.value.regex, notes)
    default:
      notes.error(`string matcher ${pattern.case} is unknown`)
      return never
  }
}

/** UTF-8, one byte a character: what a header's value is compared with. Envoy compares bytes, and its regular expressions read Latin-1. */
export const asBytes = (text: string): string => (/^[\0-\x7f]*$/.test(text) ? text : Buffer.from(text, 'utf8').toString('latin1'))

/** As {@link compileString}, of a header's value. */
export function compileByteString(matcher: StringMatcher | undefined, notes: Notes): CompiledString {
  const pattern = matcher?.matchPattern
  if (matcher === undefined || pattern === undefined || pattern.case === undefined || pattern.case === 'custom') return compileString(matcher, notes)
  if (pattern.case === 'safeRegex') return compileByteRegex(pattern.value.regex, notes)
  return compileString({ ...matcher, matchPattern: { case: pattern.case, value: asBytes(pattern.value) } }, notes)
}

/** As {@link compileRegex}, of a header's value. */
export const compileByteRegex = (regex: string, notes: Notes): CompiledString => compileRegex(asBytes(regex), notes)

/** The whole value must match, as in Envoy. */
export function compileRegex(regex: string, notes: Notes): CompiledString {
  const compiled = compileRe2(regex, notes)
  return compiled === undefined ? never : { test: (v) => compiled.matches(v), text: `/${regex}/` }
}

function compileRe2(regex: string, notes: Notes): Expression | undefined {
  if (regex.length > 4096) {
    notes.error(`regular expression of ${regex.length} characters is longer than 4096`)
    return undefined
  }
  try {
    return compileExpression(regex)
  } catch (cause) {
    notes.error(`regular expression "${regex}": ${(cause as Error).message}`)
    return undefined
  }
}

/** Replaces every match; Envoy writes `\1` where RE2JS writes `$1`. */
export function compileSubstitution(rule: RegexMatchAndSubstitute, notes: Notes): (value: string) => string {
  const compiled = compileRe2(rule.pattern?.regex ?? '', notes)
  if (compiled === undefined) return (v) => v
  const replacement = rule.substitution.replace(/\$/g, '\\$').replace(/\\(\d)/g, '$$$1')
  return (v) => compiled.replaceAll(v, replacement)
}
