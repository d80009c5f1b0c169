// HttpMatch → RouteMatch. Headers and query parameters stand sorted by name: the order in which they were written means nothing.
import type { HttpMatch, StringMatch } from '#plan'
import { some, type Obj } from './json.ts'

export function routeMatch(m: HttpMatch): Obj {
  const headers = [
    ...byName(m.headers).map(([name, want]) => headerMatcher(name, want)),
    // A header that is not there is as good as an empty one.
    ...byName(m.withoutHeaders).map(([name, want]) => ({ ...headerMatcher(name, want), invertMatch: true, ...('present' in want ? {} : { treatMissingHeaderAsEmpty: true }) })),
    ...pseudo(':method', m.method), ...pseudo(':authority', m.authority), ...pseudo(':scheme', m.scheme),
  ]
  const queryParameters = byName(m.queryParams).map(([name, want]) => ('present' in want ? { name, presentMatch: true } : { name, stringMatch: stringMatcher(want) }))
  return some({
    ...pathSpecifier(m), caseSensitive: m.ignorePathCase === true ? false : undefined,
    headers: headers.length === 0 ? undefined : headers, queryParameters: queryParameters.length === 0 ? undefined : queryParameters,
  })
}

function pathSpecifier({ path }: HttpMatch): Obj {
  if (path === undefined) return { prefix: '/' }
  return 'exact' in path ? { path: path.exact } : 'prefix' in path ? { prefix: path.prefix } : { safeRegex: { regex: path.regex } }
}

function byName(of: Readonly<Record<string, StringMatch>> | undefined): [string, StringMatch][] {
  return Object.entries(of ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
}

function pseudo(name: string, want: StringMatch | undefined): Obj[] {
  return want === undefined ? [] : [headerMatcher(name, want)]
}

function headerMatcher(name: string, want: StringMatch): Obj {
  return 'present' in want ? { name, presentMatch: true } : { name, stringMatch: stringMatcher(want) }
}

export function stringMatcher(want: Exclude<StringMatch, { present: true }>): Obj {
  return 'exact' in want ? { exact: want.exact } : 'prefix' in want ? { prefix: want.prefix } : { safeRegex: { regex: want.regex } }
}
