// Envoy's RBAC, for connections and for requests: policies by name, permissions ∧ principals. Law: a clause that is not understood is an error, never a match.
import { addressBytes, cidrContains, compileCidr } from './address.ts'
import { fields, type Notes } from './notes.ts'
import { claimAt } from './jwt.ts'
import type { Claims } from './jwt-token.ts'
import { orOfHeaders, rbacHeader, type Reading } from './rbac-headers.ts'
import { pathOnly, type RouteRequest } from './route-match.ts'
import { compileString } from './string-match.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { RBAC as HttpRbac, RBACPerRoute } from '../../../generated/types/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts'
import type { RBAC as NetworkRbac } from '../../../generated/types/envoy/extensions/filters/network/rbac/v3/rbac_pb.ts'
import type { Permission, Policy, Principal, RBAC as Rules } from '../../../generated/types/envoy/config/rbac/v3/rbac_pb.ts'
import type { MetadataMatcher } from '../../../generated/types/envoy/type/matcher/v3/metadata_pb.ts'
import type { ValueMatcher } from '../../../generated/types/envoy/type/matcher/v3/value_pb.ts'
import type { CidrRange } from '../../../generated/types/envoy/config/core/v3/address_pb.ts'

export const httpRbacType = 'envoy.extensions.filters.http.rbac.v3.RBAC'
export const networkRbacType = 'envoy.extensions.filters.network.rbac.v3.RBAC'
const perRouteType = 'envoy.extensions.filters.http.rbac.v3.RBACPerRoute'
export const rbacPerRouteUrl = `type.googleapis.com/${perRouteType}`

/** What a rule may ask. `request` is absent on plain connections. */
export interface RbacFacts {
  readonly destinationAddress: string
  readonly destinationPort: number
  /** The peer of the connection. */
  readonly directAddress: string
  /** By X-Forwarded-For, where that is trusted; else the direct one. */
  readonly remoteAddress: string
  readonly serverName: string
  /** URI SANs, then DNS SANs, then the subject of the verified certificate; undefined = not mTLS. */
  readonly principals: readonly string[] | undefined
  readonly request?: RouteRequest
  /** What a token that holds says. */
  readonly claims?: Claims | undefined
}

type Test = (facts: RbacFacts) => boolean

interface CompiledRules {
  readonly action: 'ALLOW' | 'DENY' | 'LOG'
  readonly policies: readonly { readonly name: string; readonly test: Test }[]
}

export interface Rbac {
  readonly rules?: CompiledRules
  readonly shadow?: CompiledRules
}

export interface RbacVerdict {
  readonly allowed: boolean
  /** Name of the policy that matched; '' = none did. */
  readonly policy: string
  /** Policy whose LOG rule matched: the call is marked (`envoy.common` `access_log_hint`). */
  readonly audited?: string
  /** What the shadow (dry-run) rules would have said. */
  readonly shadow?: { readonly allowed: boolean; readonly policy: string }
}

export function compileHttpRbac(any: Any | undefined, notes: Notes): Rbac | undefined {
  const filter = notes.unpack<HttpRbac>(any, httpRbacType)
  if (filter === undefined) return undefined
  notes.onlyServes(filter, fields('rules shadow_rules rules_stat_prefix shadow_rules_stat_prefix'))
  return compileBoth(filter.rules, filter.shadowRules, notes)
}

export function compileNetworkRbac(any: Any | undefined, notes: Notes): Rbac | undefined {
  const filter = notes.unpack<NetworkRbac>(any, networkRbacType)
  if (filter === undefined) return undefined
  notes.onlyServes(filter, fields('rules shadow_rules stat_prefix shadow_rules_stat_prefix'))
  return compileBoth(filter.rules, filter.shadowRules, notes)
}

/** null: the filter is off for the route. */
export function compileRbacPerRoute(any: Any, notes: Notes): Rbac | null {
  const config = notes.unpack<RBACPerRoute>(any, perRouteType)
  return config?.rbac === undefined ? null : compileBoth(config.rbac.rules, config.rbac.shadowRules, notes)
}

/** Without rules everything passes; ALLOW needs a policy that matches, DENY one that doesn't. */
export function decideRbac(rbac: Rbac, facts: RbacFacts): RbacVerdict {
  const verdict = decide(rbac.rules, facts)
  return rbac.shadow === undefined ? verdict : { ...verdict, shadow: decide(rbac.shadow, facts) }
}

function decide(rules: CompiledRules | undefined, facts: RbacFacts): { allowed: boolean; policy: string; audited?: string } {
  if (rules === undefined) return { allowed: true, policy: '' }
  const hit = rules.policies.find((p) => p.test(facts))
  if (rules.action === 'LOG') return { allowed: true, policy: '', ...(hit === undefined ? {} : { audited: hit.name }) }
  return { allowed: (hit !== undefined) === (rules.action === 'ALLOW'), policy: hit?.name ?? '' }
}

function compileBoth(rules: Rules | undefined, shadow: Rules | undefined, notes: Notes): Rbac {
  return { ...(rules === undefined ? {} : { rules: compileRules(rules, notes) }), ...(shadow === undefined ? {} : { shadow: notes.at('shadow_rules', () => compileRules(shadow, notes)) }) }
}

function compileRules(rules: Rules, notes: Notes): CompiledRules {
  const action = (['ALLOW', 'DENY', 'LOG'] as const)[rules.action] ?? 'ALLOW'
  // Sorted by name, as Envoy walks them, so that the named winner is stable.
  const names = Object.keys(rules.policies).sort()
  return { action, policies: names.map((name) => ({ name, test: notes.at(`policies[${name}]`, () => compilePolicy(rules.policies[name] as Policy, action === 'ALLOW' ? 'every' : 'some', notes)) })) }
}

function compilePolicy(policy: Policy, reading: Reading, notes: Notes): Test {
  if (policy.condition !== undefined || policy.checkedCondition !== undefined) notes.error('CEL conditions are not understood')
  const permission = any(policy.permissions.map((p) => compilePermission(p, reading, notes)))
  const principal = any(policy.principals.map((p) => compilePrincipal(p, reading, notes)))
  return (f) => permission(f) && principal(f)
}

const opposite = (reading: Reading): Reading => (reading === 'some' ? 'every' : 'some')
const any = (tests: readonly Test[]): Test => (f) => tests.some((t) => t(f))
const all = (tests: readonly Test[]): Test => (f) => tests.every((t) => t(f))

function compilePermission(permission: Permission, reading: Reading, notes: Notes): Test {
  const rule = permission.rule
  switch (rule.case) {
    case 'any':
      return () => rule.value
    case 'andRules':
      return all(rule.value.rules.map((r) => compilePermission(r, reading, notes)))
    case 'orRules': {
      const headers = orOfHeaders(rule.value.rules.map((r) => r.rule), reading, notes)
      if (headers !== undefined) return (f) => f.request !== undefined && headers(f.request)
      return any(rule.value.rules.map((r) => compilePermission(r, reading, notes)))
    }
    case 'notRule': {
      const test = compilePermission(rule.value, opposite(reading), notes)
      return (f) => !test(f)
    }
    case 'header': {
      const test = rbacHeader(rule.value, reading, notes)
      return (f) => f.request !== undefined && test(f.request)
    }
    case 'urlPath': {
      const { test } = compileString(rule.value.rule.value, notes)
      return (f) => f.request !== undefined && test(pathOnly(f.request.path))
    }
    case 'destinationIp':
      return inRange(rule.value, (f) => f.destinationAddress, notes)
    case 'destinationPort':
      return (f) => f.destinationPort === rule.value
    case 'destinationPortRange':
      return (f) => f.destinationPort >= rule.value.start && f.destinationPort < rule.value.end
    case 'requestedServerName': {
      const { test } = compileString(rule.value, notes)
      return (f) => test(f.serverName)
    }
    default:
      notes.error(`permission ${rule.case ?? 'without a rule'} is not understood`)
      return () => false
  }
}

function compilePrincipal(principal: Principal, reading: Reading, notes: Notes): Test {
  const id = principal.identifier
  switch (id.case) {
    case 'any':
      return () => id.value
    case 'andIds':
      return all(id.value.ids.map((p) => compilePrincipal(p, reading, notes)))
    case 'orIds': {
      const headers = orOfHeaders(id.value.ids.map((p) => p.identifier), reading, notes)
      if (headers !== undefined) return (f) => f.request !== undefined && headers(f.request)
      return any(id.value.ids.map((p) => compilePrincipal(p, reading, notes)))
    }
    case 'notId': {
      const test = compilePrincipal(id.value, opposite(reading), notes)
      return (f) => !test(f)
    }
    case 'authenticated': {
      const name = id.value.principalName
      if (name === undefined) return (f) => f.principals !== undefined
      const { test } = compileString(name, notes)
      return (f) => f.principals !== undefined && f.principals.some(test)
    }
    case 'sourceIp':
    case 'directRemoteIp':
      return inRange(id.value, (f) => f.directAddress, notes)
    case 'remoteIp':
      return inRange(id.value, (f) => f.remoteAddress, notes)
    case 'header': {
      const test = rbacHeader(id.value, reading, notes)
      return (f) => f.request !== undefined && test(f.request)
    }
    case 'urlPath': {
      const { test } = compileString(id.value.rule.value, notes)
      return (f) => f.request !== undefined && test(pathOnly(f.request.path))
    }
    case 'metadata':
      return compileMetadata(id.value, notes)
    case 'sourcedMetadata':
      if (id.value.metadataSource === 0) return compileMetadata(id.value.metadataMatcher, notes)
      notes.error('metadata of a route is not understood')
      return () => false
    case 'filterState': {
      // Istio's form of source.principal: the peer's identity as TLS has proved it.
      const matcher = id.value.matcher
      if (id.value.key !== 'io.istio.peer_principal' || matcher.case !== 'stringMatch') {
        notes.error(`filter state ${id.value.key} is not understood`)
        return () => false
      }
      const { test } = compileString(matcher.value, notes)
      return (f) => f.principals !== undefined && f.principals.some(test)
    }
    default:
      notes.error(`principal ${id.case ?? 'without an identifier'} is not understood`)
      return () => false
  }
}

function inRange(range: CidrRange, of: (f: RbacFacts) => string, notes: Notes): Test {
  const cidr = compileCidr(range, notes)
  if (cidr === undefined) return () => false
  return (f) => {
    const bytes = addressBytes(of(f))
    return bytes !== undefined && cidrContains(cidr, bytes)
  }
}

/** Claims of a token, as the filter for tokens leaves them: `payload` and then the claim's own path. */
function compileMetadata(matcher: MetadataMatcher | undefined, notes: Notes): Test {
  const [root, ...path] = (matcher?.path ?? []).map((p) => (p.segment.case === 'key' ? p.segment.value : ''))
  if (matcher?.filter !== 'envoy.filters.http.jwt_authn' || root !== 'payload' || path.length === 0 || matcher.value === undefined) {
    notes.error(`metadata ${matcher?.filter}.${[root, ...path].join('.')} is not understood`)
    return () => false
  }
  const test = compileValue(matcher.value, notes)
  return (f) => (f.claims !== undefined && test(claimAt(f.claims, path))) !== matcher.invert
}

function compileValue(matcher: ValueMatcher, notes: Notes): (value: unknown) => boolean {
  const pattern = matcher.matchPattern
  switch (pattern.case) {
    case 'stringMatch': {
      const { test } = compileString(pattern.value, notes)
      return (v) => typeof v === 'string' && test(v)
    }
    case 'orMatch': {
      const tests = pattern.value.valueMatchers.map((m) => compileValue(m, notes))
      return (v) => tests.some((t) => t(v))
    }
    case 'listMatch': {
      const one = pattern.value.matchPattern
      if (one.case !== 'oneOf') break
      const test = compileValue(one.value, notes)
      return (v) => Array.isArray(v) && v.some(test)
    }
  }
  notes.error(`value matcher ${pattern.case ?? 'without a pattern'} is not understood`)
  return () => false
}
