// What a consistent-hash balancer hashes: a header, a cookie, a query parameter or the client's address. Law: pure; the value of a cookie that has to be made comes in as an argument.
import { durationMs, type Notes } from './notes.ts'
import type { RouteRequest } from './route-match.ts'
import type { RouteAction_HashPolicy, RouteAction_HashPolicy_Cookie as Cookie } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'

export interface HashPolicy {
  readonly value: (request: RouteRequest, sourceAddress: string) => string | undefined
  readonly terminal: boolean
  /** A request without the cookie is given one: the line that makes it. */
  readonly setCookie?: (value: string) => string
}

export function compileHashPolicies(policies: readonly RouteAction_HashPolicy[], notes: Notes): HashPolicy[] {
  return policies.flatMap((p): HashPolicy[] => {
    const spec = p.policySpecifier
    const terminal = p.terminal
    switch (spec.case) {
      case 'header': {
        const name = spec.value.headerName.toLowerCase()
        if (spec.value.regexRewrite !== undefined) notes.notServed('hash_policy.header.regex_rewrite')
        return [{ terminal, value: (r) => r.header(name) }]
      }
      case 'cookie': {
        const name = spec.value.name
        return [{ terminal, value: (r) => cookie(r.header('cookie'), name), ...(spec.value.ttl === undefined ? {} : { setCookie: cookieMaker(spec.value) }) }]
      }
      case 'connectionProperties':
        return spec.value.sourceIp ? [{ terminal, value: (_r, source) => source }] : []
      case 'queryParameter': {
        const name = spec.value.name
        return [{ terminal, value: (r) => new URLSearchParams(r.path.split('?')[1] ?? '').get(name) ?? undefined }]
      }
      default:
        notes.notServed(`hash_policy.${spec.case ?? 'without a policy'}`)
        return []
    }
  })
}

/** As Envoy writes it: a ttl of 0 makes a cookie that ends with the session. */
function cookieMaker(spec: Cookie): (value: string) => string {
  const seconds = Math.floor(durationMs(spec.ttl, 0) / 1000)
  const own = spec.attributes.map((a) => (a.value === '' ? `; ${a.name}` : `; ${a.name}=${a.value}`)).join('')
  const after = `${seconds > 0 ? `; Max-Age=${seconds}` : ''}${spec.path === '' ? '' : `; Path=${spec.path}`}${own}; HttpOnly`
  return (value) => `${spec.name}="${value}"${after}`
}

function cookie(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const eq = part.indexOf('=')
    if (eq > 0 && part.slice(0, eq).trim() === name) return part.slice(eq + 1).trim().replace(/^"|"$/g, '')
  }
  return undefined
}

/** FNV-1a, 32 bit, finished so that near strings land far apart. */
export function hash32(text: string): number {
  let h = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    h ^= text.charCodeAt(i)
    h = Math.imul(h, 0x01000193)
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
