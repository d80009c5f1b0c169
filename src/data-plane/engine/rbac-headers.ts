// How a policy reads a header that comes several times, or lists several values. Law: more values never gain access, and never slip past a DENY.
// Envoy (CVE-2026-26308, fixed in 1.38) asks whether any line matches, whatever the action.
import type { HeaderMatcher } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'
import type { Notes } from './notes.ts'
import { compileHeaderLine, compileHeaderMatcher, type HeaderReading, type RequestTest } from './route-match.ts'

/** `some`: where a match denies, or marks for audit. `every`: where a match lets in. A negation turns one into the other. */
export type Reading = 'some' | 'every'

export function rbacHeader(matcher: HeaderMatcher, reading: Reading, notes: Notes): RequestTest {
  return compileHeaderMatcher(matcher, notes, readingOf(matcher, reading))
}

/** Headers of one name, ORed: `every` asks of each line that one of them matches. undefined: something else. */
export function orOfHeaders(parts: readonly { readonly case: string | undefined; readonly value?: unknown }[], reading: Reading, notes: Notes): RequestTest | undefined {
  if (reading === 'some' || parts.length < 2) return undefined
  const matchers = parts.flatMap((p) => (p.case === 'header' ? [p.value as HeaderMatcher] : []))
  const name = matchers[0]?.name.toLowerCase() ?? ''
  const together = matchers.length === parts.length && !name.startsWith(':') && name !== 'host' && matchers.every((m) => m.name.toLowerCase() === name && isPlain(m))
  if (!together) return undefined
  const tests = matchers.map((m) => compileHeaderLine(m, notes))
  return (request) => {
    const lines = request.lines(name)
    return lines.length > 0 && lines.every((line) => tests.some((test) => test(line)))
  }
}

/** It asks of a line what it says, and nothing where there is none. */
const isPlain = ({ invertMatch, treatMissingHeaderAsEmpty, headerMatchSpecifier: spec }: HeaderMatcher): boolean => !invertMatch && !treatMissingHeaderAsEmpty && !(spec.case === 'presentMatch' && !spec.value)

const everyLine: HeaderReading = (lines, test) => lines.every(test)
const anyLine: HeaderReading = (lines, test) => lines.some(test)

/** A regular expression here is the generator's own, which says itself what it asks of a line. */
function readingOf({ headerMatchSpecifier: spec, invertMatch, name }: HeaderMatcher, reading: Reading): HeaderReading {
  if ((reading === 'every') !== invertMatch) return everyLine
  if (spec.case === 'safeRegexMatch' || (spec.case === 'stringMatch' && spec.value.matchPattern.case === 'safeRegex') || name.startsWith(':')) return anyLine
  const separator = name.toLowerCase() === 'cookie' ? /[,;]/ : ','
  return (lines, test) => lines.some((line) => test(line) || members(line, separator).some(test)) || (lines.length > 1 && test(lines.join(',')))
}

/** Of a comma-separated list (RFC 9110 section 5.6.1), or of a Cookie. */
function members(line: string, separator: string | RegExp): readonly string[] {
  const parts = line.split(separator)
  return parts.length === 1 ? [] : parts.map((part) => part.trim()).filter((part) => part !== '')
}
