// Does a route match a request? Path, headers, query, all ANDed; read from a request that answers only what it is asked.
import { fields, type Notes } from './notes.ts'
import { asBytes, compileByteRegex, compileByteString, compileRegex, compileString } from './string-match.ts'
import type { HeaderMatcher, QueryParameterMatcher, RouteMatch } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'

/** What routing may ask of a request. Values of headers are bytes, one a character (Latin-1). */
export interface RouteRequest {
  readonly authority: string
  /** With its query. */
  readonly path: string
  readonly method: string
  readonly scheme: string
  /** `name` is lower case. Several lines come joined by `,`. */
  header(name: string): string | undefined
  /** Each line of a header by itself; empty: it is not there. `name` is lower case. */
  lines(name: string): readonly string[]
}

export type RequestTest = (request: RouteRequest) => boolean

const served = fields('prefix path safe_regex path_separated_prefix connect_matcher case_sensitive headers query_parameters grpc')

/** The path without its query. */
export function pathOnly(path: string): string {
  const q = path.indexOf('?')
  return q < 0 ? path : path.slice(0, q)
}

export interface CompiledMatch {
  readonly test: RequestTest
  /** What prefix_rewrite replaces: the matched prefix, or the whole path. */
  readonly matchedLength: (path: string) => number
}

export function compileRouteMatch(match: RouteMatch | undefined, notes: Notes): CompiledMatch {
  if (match === undefined) {
    notes.error('route has no match')
    return { test: () => false, matchedLength: () => 0 }
  }
  notes.onlyServes(match, served)
  const path = compilePath(match, notes)
  const tests: RequestTest[] = [
    ...match.headers.map((h) => compileHeaderMatcher(h, notes)),
    ...match.queryParameters.map((q) => compileQuery(q, notes)),
    ...(match.grpc === undefined ? [] : [(r: RouteRequest) => (r.header('content-type') ?? '').startsWith('application/grpc')]),
  ]
  if (tests.length === 0) return path
  return { matchedLength: path.matchedLength, test: (r) => path.test(r) && tests.every((t) => t(r)) }
}

function compilePath(match: RouteMatch, notes: Notes): CompiledMatch {
  const spec = match.pathSpecifier
  const fold = match.caseSensitive === false
  const low = (s: string) => (fold ? s.toLowerCase() : s)
  const whole = (path: string) => pathOnly(path).length
  switch (spec.case) {
    case 'prefix': {
      const want = low(spec.value)
      if (want === '/' || want === '') return { test: (r) => r.path.startsWith('/') || want === '', matchedLength: () => want.length }
      return { test: (r) => low(pathOnly(r.path)).startsWith(want), matchedLength: () => want.length }
    }
    case 'path': {
      const want = low(spec.value)
      return { test: (r) => low(pathOnly(r.path)) === want, matchedLength: whole }
    }
    case 'pathSeparatedPrefix': {
      const want = low(spec.value)
      return {
        matchedLength: () => want.length,
        test: (r) => {
          const path = low(pathOnly(r.path))
          return path.startsWith(want) && (path.length === want.length || path[want.length] === '/')
        },
      }
    }
    case 'safeRegex': {
      const compiled = compileRegex(spec.value.regex, notes)
      return { test: (r) => compiled.test(pathOnly(r.path)), matchedLength: whole }
    }
    case 'connectMatcher':
      return { test: (r) => r.method === 'CONNECT', matchedLength: () => 0 }
    default:
      notes.error(`path specifier ${spec.case ?? 'is missing'}: not one of prefix, path, safe_regex, path_separated_prefix, connect_matcher`)
      return { test: () => false, matchedLength: () => 0 }
  }
}

/** Envoy's pseudo headers; undefined: an ordinary one. */
export function pseudoHeader(request: RouteRequest, name: string): string | undefined {
  switch (name) {
    case ':method':
      return request.method
    case ':path':
      return request.path
    case ':authority':
    case 'host':
      return request.authority
    case ':scheme':
      return request.scheme
    default:
      return undefined
  }
}

/** How a matcher reads a header of several lines; it is not asked where there is none. */
export type HeaderReading = (lines: readonly string[], test: (value: string) => boolean) => boolean

/** As Envoy since 1.38: each line by itself, never the joined value. */
const anyLine: HeaderReading = (lines, test) => lines.some(test)

/** `reading`: of headers that may have several lines. */
export function compileHeaderMatcher(matcher: HeaderMatcher, notes: Notes, reading = anyLine): RequestTest {
  const name = matcher.name.toLowerCase()
  const spec = matcher.headerMatchSpecifier
  const invert = matcher.invertMatch
  const linesOf = (r: RouteRequest): readonly string[] => {
    const pseudo = pseudoHeader(r, name)
    return pseudo === undefined ? r.lines(name) : [pseudo]
  }
  if (spec.case === undefined || spec.case === 'presentMatch') {
    const want = (spec.case === undefined ? true : spec.value) !== invert
    return (r) => (linesOf(r).length > 0) === want
  }
  const test = compileHeaderLine(matcher, notes)
  // A missing header never matches, inverted or not, unless it counts as empty.
  const missing = matcher.treatMissingHeaderAsEmpty ? test('') !== invert : false
  return (r) => {
    const lines = linesOf(r)
    return lines.length === 0 ? missing : reading(lines, test) !== invert
  }
}

/** What one line has to be; that there is one is all that a matcher of presence asks. */
export function compileHeaderLine({ name, headerMatchSpecifier: spec }: HeaderMatcher, notes: Notes): (value: string) => boolean {
  return spec.case === undefined || spec.case === 'presentMatch' ? () => true : compileHeaderValue(spec, name, notes)
}

type ValueSpec = Exclude<HeaderMatcher['headerMatchSpecifier'], { case: undefined } | { case: 'presentMatch' }>

function compileHeaderValue(spec: ValueSpec, name: string, notes: Notes): (value: string) => boolean {
  if (spec.case === 'safeRegexMatch') return compileByteRegex(spec.value.regex, notes).test
  if (spec.case === 'stringMatch') return compileByteString(spec.value, notes).test
  if (spec.case === 'rangeMatch') return (v) => /^-?\d+$/.test(v) && BigInt(v) >= spec.value.start && BigInt(v) < spec.value.end
  const want = asBytes(spec.value)
  switch (spec.case) {
    case 'exactMatch':
      return (v) => v === want
    case 'prefixMatch':
      return (v) => v.startsWith(want)
    case 'suffixMatch':
      return (v) => v.endsWith(want)
    case 'containsMatch':
      return (v) => v.includes(want)
    default:
      notes.error(`matcher of header ${name} is unknown`)
      return () => false
  }
}

function compileQuery(matcher: QueryParameterMatcher, notes: Notes): RequestTest {
  const spec = matcher.queryParameterMatchSpecifier
  const value = (r: RouteRequest): string | undefined => {
    const q = r.path.indexOf('?')
    return q < 0 ? undefined : (new URLSearchParams(r.path.slice(q + 1)).get(matcher.name) ?? undefined)
  }
  if (spec.case !== 'stringMatch') {
    const want = spec.case === undefined ? true : spec.value
    return (r) => (value(r) !== undefined) === want
  }
  const compiled = compileString(spec.value, notes)
  return (r) => {
    const found = value(r)
    return found !== undefined && compiled.test(found)
  }
}
