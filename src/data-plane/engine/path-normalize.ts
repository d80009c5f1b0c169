// One normalisation of a request's path, before policy and before forwarding. Law: what cannot be normalised is refused; both see the same path.
// Source: Envoy's normalize_path, merge_slashes, path_with_escaped_slashes_action and http_reject_path_with_fragment (RFC 3986 6.2.2, and `\` as `/`).
import { pathOnly } from './route-match.ts'

export interface PathRules {
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes: 'KEEP' | 'REJECT' | 'REDIRECT' | 'FORWARD'
}

export type NormalPath = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'reject' } | { readonly kind: 'redirect'; readonly path: string }

/** What may need work: dot segments, empty segments, escapes, `\`, and what Envoy escapes (see `escaped`). */
const suspicious = /\/[/.]|[%\\"<>^`{|}]|[^\x21-\x7e]/
const unreserved = /[A-Za-z0-9\-._~]/
/** Printable characters that Envoy writes as escapes. */
const escaped = /[^\x21-\x7e]|["<>^`{|}]/g

/** `delete` is no DELETE to a policy, and may be one to the application: a method with small letters is answered 400, as in Envoy for HTTP/1.1. */
export const isMethodRefused = (method: string): boolean => /[a-z]/.test(method)

/** `path` with its query, which stays as it is. */
export function normalizePath(path: string, rules: PathRules): NormalPath {
  // Whatever else is asked for: policy would read another path than the application does.
  if (path.includes('#')) return { kind: 'reject' }
  if (!suspicious.test(path) || !path.startsWith('/')) return { kind: 'path', path }
  let plain = pathOnly(path)
  const query = path.slice(plain.length)
  let decoded = false
  if (rules.escapedSlashes !== 'KEEP' && /%(?:2f|5c)/i.test(plain)) {
    if (rules.escapedSlashes === 'REJECT') return { kind: 'reject' }
    plain = plain.replace(/%2f/gi, '/').replace(/%5c/gi, '\\')
    decoded = true
  }
  if (rules.normalizePath) {
    if (plain.includes('%00')) return { kind: 'reject' }
    plain = resolved(plain)
  }
  if (rules.mergeSlashes) plain = plain.replace(/\/{2,}/g, '/')
  if (decoded && rules.escapedSlashes === 'REDIRECT') return { kind: 'redirect', path: plain + query }
  return { kind: 'path', path: plain + query }
}

/** Unreserved characters stand for themselves (RFC 3986 section 6.2.2.2); every other escape stays as it was written. */
function unescaped(written: string, hex: string): string {
  const character = String.fromCharCode(Number.parseInt(hex, 16))
  return unreserved.test(character) ? character : written
}

const escape = (character: string): string => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`

/** Parameters of `.` and `..`: servers that know them take them off before they resolve dots, so that `..;x` climbs. */
const dotParameters = /\/(\.\.?);[^/]*/g

/** As Envoy resolves it; and once more where `..;x` comes from an escape or stands behind a `\`, which Envoy passes on. */
function resolved(path: string): string {
  let plain = withoutDots(path.replace(dotParameters, '/$1').replace(/%([0-9A-Fa-f]{2})/g, unescaped).replaceAll('\\', '/').replace(escaped, escape))
  while (plain.search(dotParameters) >= 0) plain = withoutDots(plain.replace(dotParameters, '/$1'))
  return plain
}

/** RFC 3986 section 5.2.4: `..` at the root stays there. */
function withoutDots(path: string): string {
  const out: string[] = []
  const parts = path.split('/').slice(1)
  for (const [i, part] of parts.entries()) {
    if (part !== '.' && part !== '..') {
      out.push(part)
      continue
    }
    if (part === '..') out.pop()
    if (i === parts.length - 1) out.push('')
  }
  return '/' + out.join('/')
}
