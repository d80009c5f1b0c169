// One normalisation of a request's path, before policy and before forwarding. Law: what cannot be normalised is refused; both see the same path.
// Source: Envoy's normalize_path, merge_slashes, path_with_escaped_slashes_action and http_reject_path_with_fragment (RFC 3986 6.2.2, and `\` as `/`).
import { pathOnly } from './route-match.ts'

export interface PathRules {
  readonly normalizePath: boolean
  readonly mergeSlashes: boolean
  readonly escapedSlashes: 'KEEP' | 'REJECT' | 'REDIRECT' | 'FORWARD'
}

export type NormalPath = { readonly kind: 'path'; readonly path: string } | { readonly kind: 'reject' } | { readonly kind: 'redirect'; readonly path: string }

const suspicious = /\/\/|\/\.|%|\\/
const unreserved = /[A-Za-z0-9\-._~]/

/** `path` with its query, which stays as it is. */
export function normalizePath(path: string, rules: PathRules): NormalPath {
  // Whatever else is asked for: policy would read another path than the application does.
  if (path.includes('#')) return { kind: 'reject' }
  if (!suspicious.test(path) || !path.startsWith('/')) return { kind: 'path', path }
  let plain = pathOnly(path)
  const query = path.slice(plain.length)
  let escaped = false
  if (rules.escapedSlashes !== 'KEEP' && /%(?:2f|5c)/i.test(plain)) {
    if (rules.escapedSlashes === 'REJECT') return { kind: 'reject' }
    plain = plain.replace(/%2f/gi, '/').replace(/%5c/gi, '\\')
    escaped = true
  }
  if (rules.normalizePath) {
    if (/%(?![0-9A-Fa-f]{2})/.test(plain) || /%00/.test(plain)) return { kind: 'reject' }
    plain = plain
      .replace(/%([0-9A-Fa-f]{2})/g, (all, hex: string) => {
        const c = String.fromCharCode(Number.parseInt(hex, 16))
        return unreserved.test(c) ? c : all.toUpperCase()
      })
      .replaceAll('\\', '/')
    const resolved = withoutDots(plain)
    if (resolved === undefined) return { kind: 'reject' }
    plain = resolved
  }
  if (rules.mergeSlashes) plain = plain.replace(/\/{2,}/g, '/')
  if (escaped && rules.escapedSlashes === 'REDIRECT') return { kind: 'redirect', path: plain + query }
  return { kind: 'path', path: plain + query }
}

/** undefined: it climbs out of the root. */
function withoutDots(path: string): string | undefined {
  const out: string[] = []
  const parts = path.split('/').slice(1)
  for (const [i, part] of parts.entries()) {
    const last = i === parts.length - 1
    if (part === '..') {
      if (out.length === 0) return undefined
      out.pop()
      if (last) out.push('')
    } else if (part === '.') {
      if (last) out.push('')
    } else out.push(part)
  }
  return '/' + out.join('/')
}
