// IST0130 and IST0131: routes and matches of a VirtualService that can never be used, because earlier ones take all.
import { canonicalJson } from '#lib/canonical.ts'
import type { HttpMatchSpec, StringMatchSpec, VirtualServiceSpec } from '../kinds/virtual-service.ts'
import type { Findings } from './findings.ts'

interface Route { readonly name?: string; readonly match?: readonly { readonly name?: string }[] }

export function checkUnreachable(found: Findings, spec: VirtualServiceSpec): void {
  for (const kind of ['http', 'tls', 'tcp'] as const) {
    const routes = (spec[kind] ?? []) as readonly Route[]
    checkRepeated(found, `spec.${kind}`, routes)
    if (kind === 'http') checkCovered(found, routes)
  }
}

const label = (of: { readonly name?: string } | undefined, index: number): string => ((of?.name ?? '') === '' ? `#${index}` : JSON.stringify(of?.name))

/** What a match asks of a request: without its name, and without what says nothing (`ignoreUriCase: false`, `gateways: []`, `headers: {}`). */
function routingKey(match: object): string {
  return canonicalJson(Object.fromEntries(Object.entries(match).filter(([name, value]) => name !== 'name' && !saysNothing(name, value))))
}

/** An empty string match is there, though it names nothing. */
const stringMatches: ReadonlySet<string> = new Set(['uri', 'scheme', 'method', 'authority'])
function saysNothing(name: string, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === false || value === 0 || value === ''
  return !stringMatches.has(name) && Object.keys(value).length === 0
}

function checkRepeated(found: Findings, path: string, routes: readonly Route[]): void {
  const seen = new Map<string, number>()
  let catchAll = false
  routes.forEach((route, i) => {
    const matches = route.match ?? []
    if (catchAll) return found.say('IST0130', 'warning', `${path}[${i}]`, `rule ${label(route, i)} is never used: an earlier rule without matches takes everything`)
    if (matches.length === 0) {
      catchAll = true
      return
    }
    let repeated = 0
    matches.forEach((match, m) => {
      const key = routingKey(match)
      const before = seen.get(key)
      if (before === undefined) return void seen.set(key, i)
      repeated++
      found.say('IST0131', 'info', `${path}[${i}].match[${m}]`, `match ${label(match, m)} of rule ${label(route, i)} is never used: rule ${label(routes[before], before)} has the same`)
    })
    if (repeated === matches.length) found.say('IST0130', 'warning', `${path}[${i}]`, `rule ${label(route, i)} is never used: earlier rules have all its matches`)
  })
}

interface PrefixMatch { readonly path: string; readonly text: string; readonly prefix: string; readonly port: number; readonly method: string; readonly authority: string; readonly maps: readonly ReadonlyMap<string, string>[] }

/** An earlier prefix that takes what a later, longer one is meant for. */
function checkCovered(found: Findings, routes: readonly Route[]): void {
  const prefixes: PrefixMatch[] = []
  const seen = new Set<string>()
  const end = routes.findIndex((route) => (route.match ?? []).length === 0)
  routes.slice(0, end === -1 ? routes.length : end).forEach((route, i) => ((route.match ?? []) as readonly HttpMatchSpec[]).forEach((match, m) => {
    const key = routingKey(match)
    const prefix = match.uri?.prefix ?? ''
    if (seen.has(key) || prefix === '') return void seen.add(key)
    seen.add(key)
    const texts = (values: Readonly<Record<string, StringMatchSpec>> | undefined): ReadonlyMap<string, string> => new Map(Object.entries(values ?? {}).map(([k, v]) => [k, stringKey(v)]))
    prefixes.push({
      path: `spec.http[${i}].match[${m}]`, text: `match ${label(match, m)} of rule ${label(route, i)}`, prefix, port: match.port ?? 0,
      method: stringKey(match.method) === '' ? 'exact:GET' : stringKey(match.method), authority: stringKey(match.authority),
      maps: [texts(match.headers), texts(match.queryParams), texts(match.withoutHeaders)],
    })
  }))
  prefixes.forEach((earlier, i) => prefixes.slice(i + 1).forEach((later) => {
    if (later.prefix !== earlier.prefix && covers(earlier, later)) {
      found.say('IST0131', 'info', later.path, `${later.text} (prefix ${later.prefix}) is never used: ${earlier.text} (prefix ${earlier.prefix}) takes it first`)
    }
  }))
}

function covers(earlier: PrefixMatch, later: PrefixMatch): boolean {
  const within = (a: string, b: string): boolean => a === b || a.startsWith(b)
  return later.prefix.startsWith(earlier.prefix) && later.port === earlier.port && within(earlier.method, later.method) && within(earlier.authority, later.authority)
    && earlier.maps.every((map, n) => {
      const other = later.maps[n] as ReadonlyMap<string, string>
      return map.size === other.size && [...map].every(([key, value]) => other.has(key) && within(value, other.get(key) as string))
    })
}

function stringKey(match: StringMatchSpec | undefined): string {
  if ((match?.exact ?? '') !== '') return `exact:${match?.exact}`
  return (match?.prefix ?? '') === '' ? '' : `prefix:${match?.prefix}`
}
