// Authorization → Envoy's RBAC filters, AUDIT before DENY before ALLOW, policies named as Istio names them.
// Law: where a test can't be asked (HTTP's on a TCP port, an attribute that nobody knows), a rule that allows or audits goes, a rule that denies stands without it.
import { claimPath, type AccessPolicy, type AccessRule, type AccessTest, type Authorization } from '#plan'
import { some, typed, type Obj } from './json.ts'
import { anyOther, asMember } from './rbac-headers.ts'

type Layer = 'http' | 'tcp'
type Action = 'ALLOW' | 'DENY' | 'LOG'

const extensions = 'envoy.extensions.filters'

/** In front of the filter that ends the chain: for HTTP among its own filters, for the rest among the network's. */
export function rbacFilters(authorization: Authorization | undefined, layer: Layer): Obj[] {
  if (authorization === undefined) return []
  return [filter('LOG', authorization.audit ?? [], layer), filter('DENY', authorization.deny, layer), filter('ALLOW', authorization.allow, layer)].filter((f) => f !== undefined)
}

function filter(action: Action, policies: readonly AccessPolicy[], layer: Layer): Obj | undefined {
  if (policies.length === 0) return undefined
  const [enforced, dry] = [policies.filter((p) => !p.dryRun), policies.filter((p) => p.dryRun)]
  const config = some({ rules: ruleSet(action, enforced, layer), shadowRules: ruleSet(action, dry, layer), shadowRulesStatPrefix: dry.length === 0 || action === 'LOG' ? undefined : `istio_dry_run_${action.toLowerCase()}_` })
  if (layer === 'http') return { name: `istio.authorization.${action === 'LOG' ? 'audit' : action.toLowerCase()}`, typedConfig: typed(`${extensions}.http.rbac.v3.RBAC`, config) }
  return { name: 'envoy.filters.network.rbac', typedConfig: typed(`${extensions}.network.rbac.v3.RBAC`, { ...config, statPrefix: 'tcp.' }) }
}

function ruleSet(action: Action, policies: readonly AccessPolicy[], layer: Layer): Obj | undefined {
  if (policies.length === 0) return undefined
  const entries = policies.flatMap(({ ref, rules }): [string, Obj][] => {
    const name = (i: number): string => `ns[${ref.namespace}]-policy[${ref.name}]-rule[${i}]`
    if (rules.length === 0) return [[name(0), matchesNothing]]
    return rules.flatMap((rule, i): [string, Obj][] => {
      const made = policyOf(rule, action, layer)
      return made === undefined ? [] : [[name(i), made]]
    })
  })
  return { action, policies: Object.fromEntries(entries) }
}

const matchesNothing: Obj = { permissions: [{ notRule: { any: true } }], principals: [{ notId: { any: true } }] }

function policyOf(rule: AccessRule, action: Action, layer: Layer): Obj | undefined {
  const permissions = rule.calls.map((tests) => conjunction(tests, permission, 'Rule', action, layer))
  const principals = rule.callers.map((tests) => conjunction(tests, principal, 'Id', action, layer))
  if ([...permissions, ...principals].includes(undefined)) return undefined
  return { permissions: permissions as Obj[], principals: principals as Obj[] }
}

/** undefined: it can't be asked here. */
type Ask = (attribute: string, value: string, layer: Layer) => Obj | undefined

/** undefined: a rule that does not deny and asks for what can't be asked. */
function conjunction(tests: readonly AccessTest[], ask: Ask, kind: 'Rule' | 'Id', action: Action, layer: Layer): Obj | undefined {
  const all: Obj[] = []
  const [and, or, not] = kind === 'Rule' ? ['andRules', 'orRules', 'notRule'] : ['andIds', 'orIds', 'notId']
  const list = kind === 'Rule' ? 'rules' : 'ids'
  for (const { attribute, values, notValues } of tests) {
    const name = layer === 'http' ? headerName(attribute) : undefined
    for (const [asked, negated] of [[values, false], [notValues, true]] as const) {
      const found = asked.map((v) => ask(attribute, v, layer))
      if (found.includes(undefined) && action !== 'DENY') return undefined
      const known = found.filter((f) => f !== undefined)
      if (known.length === 0) continue
      const one = name === undefined ? { [or]: { [list]: known } } : ofHeader(name, asked, known, (action === 'ALLOW') === negated)
      all.push(negated ? { [not]: one } : one)
    }
  }
  return { [and]: { [list]: all.length === 0 ? [{ any: true }] : all } }
}

/** `lenient`: a match denies, so that any of a header's values counts; else each of its lines has to be one that is asked for. */
function ofHeader(name: string, asked: readonly string[], known: readonly Obj[], lenient: boolean): Obj {
  if (lenient) return { orIds: { ids: [...known, ...asked.flatMap((v) => asMember(name, v))] } }
  const other = anyOther(name, asked)
  return other === undefined ? { orIds: { ids: [...known] } } : { andIds: { ids: [{ orIds: { ids: [...known] } }, { notId: other }] } }
}

/** Of `request.headers[x]`; a pseudo header has one line. */
function headerName(attribute: string): string | undefined {
  const name = /^request\.headers\[(.+)\]$/s.exec(attribute)?.[1]
  return name === undefined || name.startsWith(':') || name.toLowerCase() === 'host' ? undefined : name
}

function permission(attribute: string, value: string, layer: Layer): Obj | undefined {
  switch (attribute) {
    case 'destination.ip':
      return { destinationIp: cidr(value) }
    case 'destination.port':
      return { destinationPort: Number(value) }
    case 'connection.sni':
      return { requestedServerName: text(value) }
  }
  if (layer === 'tcp') return undefined
  switch (attribute) {
    case 'request.host':
      return { header: header(':authority', value, true) }
    case 'request.method':
      return { header: header(':method', value) }
    case 'request.path':
      return { urlPath: { path: value.includes('{*') ? { safeRegex: { regex: templateRegex(value) } } : text(value) } }
    default:
      return undefined
  }
}

function principal(attribute: string, value: string, layer: Layer): Obj | undefined {
  switch (attribute) {
    case 'source.ip':
      return { directRemoteIp: cidr(value) }
    case 'remote.ip':
      return { remoteIp: cidr(value) }
    case 'source.namespace':
      return proven({ safeRegex: { regex: `.*/ns/${wildcards(value)}/.*` } })
    case 'source.principal':
      return proven(value === '*' ? text('*') : value.startsWith('*') ? text(value) : text(`spiffe://${value}`))
    case 'source.trustDomain':
      return proven({ safeRegex: { regex: `spiffe://${wildcards(value)}/.*` } })
    case 'source.serviceAccount': {
      const [namespace = '', account = ''] = value.split('/')
      return proven({ safeRegex: { regex: `spiffe://.+/ns/${quoted(namespace)}/(?:.+/)?sa/${quoted(account)}(?:/.+)?` } })
    }
  }
  if (layer === 'tcp') return undefined
  if (attribute.startsWith('request.auth.')) return ofToken(attribute, value)
  const name = /^request\.headers\[(.+)\]$/s.exec(attribute)?.[1]
  return name === undefined ? undefined : { header: header(name, value) }
}

/** What a token says, as the filter for tokens leaves it. Istio: authz/model/generator.go requestPrincipalGenerator. */
function ofToken(attribute: string, value: string): Obj | undefined {
  if (attribute === 'request.auth.principal') return requestPrincipal(value)
  const path = claimPath(attribute)
  if (path === undefined) return undefined
  const one = { stringMatch: text(value) }
  return claim(path, { orMatch: { valueMatchers: [{ listMatch: { oneOf: one } }, one] } })
}

const claim = (path: readonly string[], value: Obj): Obj => ({ sourcedMetadata: { metadataMatcher: { filter: 'envoy.filters.http.jwt_authn', path: ['payload', ...path].map((key) => ({ key })), value } } })

/** `issuer/subject`, each part with its wildcard: the last slash divides them, for an issuer may be a URL. */
function requestPrincipal(value: string): Obj {
  const slash = value.lastIndexOf('/')
  const [issuer, subject] = slash < 0 ? [value, ''] : [value.slice(0, slash), value.slice(slash + 1)]
  const both = (iss: Obj, sub: Obj): Obj => ({ andIds: { ids: [claim(['iss'], { stringMatch: iss }), claim(['sub'], { stringMatch: sub })] } })
  const any = text('*')
  if (value === '*') return both(any, any)
  if (value.startsWith('*')) return slash < 0 ? both(any, { suffix: value.slice(1) }) : both(issuer === '*' ? any : { suffix: issuer.slice(1) }, { exact: subject })
  if (value.endsWith('*')) return slash < 0 ? both({ prefix: value.slice(0, -1) }, any) : both({ exact: issuer }, subject === '*' ? any : { prefix: subject.slice(0, -1) })
  return both({ exact: issuer }, { exact: subject })
}

const proven = (principalName: Obj): Obj => ({ authenticated: { principalName } })

/** Istio's values: `*`, `prefix*`, `*suffix`, or exact. */
function text(value: string, ignoreCase?: boolean): Obj {
  const fold = ignoreCase === true ? { ignoreCase } : {}
  if (value === '*') return { safeRegex: { regex: '.+' } }
  if (value.endsWith('*')) return { prefix: value.slice(0, -1), ...fold }
  return value.startsWith('*') ? { suffix: value.slice(1), ...fold } : { exact: value, ...fold }
}

function header(name: string, value: string, ignoreCase?: boolean): Obj {
  return value === '*' ? { name, presentMatch: true } : { name, stringMatch: text(value, ignoreCase) }
}

const quoted = (value: string): string => value.replace(/[.+?^${}()|[\]\\*]/g, '\\$&')
const wildcards = (value: string): string => value.split('*').map(quoted).join('.*')

/** `{*}` is one segment, `{**}` any number of them. */
function templateRegex(template: string): string {
  return template.split(/(\{\*\*?\})/).map((part) => (part === '{*}' ? '[^/]+' : part === '{**}' ? '.*' : quoted(part))).join('')
}

function cidr(block: string): Obj {
  const [addressPrefix = '', bits] = block.split('/')
  return { addressPrefix, prefixLen: bits === undefined ? (addressPrefix.includes(':') ? 128 : 32) : Number(bits) }
}
