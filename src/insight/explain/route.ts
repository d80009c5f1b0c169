// Which route of the plan a request takes.
import { RE2JS } from 're2js'
import type { HttpMatch, HttpRoute, RouteTable, StringMatch, VirtualHost } from '#plan'

export interface RequestFacts {
  readonly authority: string
  readonly path: string
  readonly method: string
  readonly scheme: string
  readonly headers: Readonly<Record<string, string>>
}

/** The virtual host by the authority: exact, then the longest `*.suffix`, then `*`. Ports in the authority count only where a domain has them. */
export function matchVirtualHost(table: RouteTable, authority: string): VirtualHost | undefined {
  const asked = authority.toLowerCase()
  const exact = table.virtualHosts.find((v) => v.domains.includes(asked))
  if (exact !== undefined) return exact
  let best: { host: VirtualHost; length: number } | undefined
  for (const host of table.virtualHosts) {
    for (const d of host.domains) if (d.startsWith('*') && d !== '*' && asked.endsWith(d.slice(1)) && asked.length > d.length - 1 && d.length > (best?.length ?? 0)) best = { host, length: d.length }
  }
  return best?.host ?? table.virtualHosts.find((v) => v.domains.includes('*'))
}

export function matchRoute(host: VirtualHost, request: RequestFacts): HttpRoute | undefined {
  return host.routes.find((r) => matches(r.match, request))
}

function matches(m: HttpMatch, request: RequestFacts): boolean {
  const [path = '/', query = ''] = request.path.split('?', 2)
  if (m.path !== undefined && !pathMatches(m.path, path, m.ignorePathCase === true)) return false
  if (m.method !== undefined && !textMatches(m.method, request.method)) return false
  if (m.scheme !== undefined && !textMatches(m.scheme, request.scheme)) return false
  if (m.authority !== undefined && !textMatches(m.authority, request.authority)) return false
  const headers = new Map(Object.entries(request.headers).map(([k, v]) => [k.toLowerCase(), v]))
  for (const [name, want] of Object.entries(m.headers ?? {})) if (!textMatches(want, headers.get(name.toLowerCase()))) return false
  for (const [name, want] of Object.entries(m.withoutHeaders ?? {})) if (textMatches(want, headers.get(name.toLowerCase()))) return false
  const params = new URLSearchParams(query)
  for (const [name, want] of Object.entries(m.queryParams ?? {})) if (!textMatches(want, params.get(name) ?? undefined)) return false
  return true
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
    return RE2JS.compile(regex).matches(value)
  } catch {
    return false
  }
}
