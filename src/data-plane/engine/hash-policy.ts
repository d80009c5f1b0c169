// What a consistent-hash balancer hashes: a header, a cookie, a query parameter or the client's address. Law: pure; cookies that would have to be minted are named as not served.
import type { Notes } from './notes.ts'
import type { RouteRequest } from './route-match.ts'
import type { RouteAction_HashPolicy } from '../../../generated/types/envoy/config/route/v3/route_components_pb.ts'

export interface HashPolicy {
  readonly value: (request: RouteRequest, sourceAddress: string) => string | undefined
  readonly terminal: boolean
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
        if (spec.value.ttl !== undefined) notes.notServed('hash_policy.cookie.ttl (making a cookie)')
        return [{ terminal, value: (r) => cookie(r.header('cookie'), name) }]
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
