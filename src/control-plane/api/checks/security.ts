// What Istio's webhook refuses in PeerAuthentication, AuthorizationPolicy and RequestAuthentication.
import type { AuthorizationPolicySpec, PeerAuthenticationSpec, RequestAuthenticationSpec } from '../kinds/security.ts'
import { isRecord } from '../decode-fields.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { portFault, subnetFault } from './names.ts'
import { checkSelector, checkTargets, headerNameFault } from './shared.ts'

export function checkPeerAuthentication(object: ApiObject, found: Findings): void {
  const spec = object.spec as PeerAuthenticationSpec
  const ports = Object.keys(spec.portLevelMtls ?? {})
  if (ports.length > 0 && Object.keys(spec.selector?.matchLabels ?? {}).length === 0) found.error('spec.portLevelMtls', 'portLevelMtls needs a selector: ports belong to workloads')
  if (spec.portLevelMtls !== undefined && ports.length === 0) found.error('spec.portLevelMtls', 'portLevelMtls must name at least one port')
  for (const port of ports) found.error(`spec.portLevelMtls.${port}`, /^\d+$/.test(port) ? portFault(Number(port)) : `"${port}" is no port number: write the container’s`)
  checkSelector(found, 'spec.selector', spec.selector)
}

type Rule = NonNullable<AuthorizationPolicySpec['rules']>[number]
type Source = NonNullable<NonNullable<Rule['from']>[number]['source']>
type Operation = NonNullable<NonNullable<Rule['to']>[number]['operation']>

const tcpSources = ['principals', 'notPrincipals', 'ipBlocks', 'notIpBlocks', 'namespaces', 'notNamespaces', 'remoteIpBlocks', 'notRemoteIpBlocks', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const
const ipLists = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const
const notForCustom = ['namespaces', 'notNamespaces', 'principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const

export function checkAuthorizationPolicy(object: ApiObject, found: Findings): void {
  const spec = object.spec as AuthorizationPolicySpec
  checkTargets(found, spec)
  const action = spec.action ?? 'ALLOW'
  const never = (name: string): string => `${name} without rules is never triggered; add an empty rule ({}) to trigger it for every request`
  if (action === 'CUSTOM') {
    if (spec.rules === undefined) found.error('spec.rules', never('CUSTOM'))
    else if ((spec.provider?.name ?? '') === '') found.error('spec.provider.name', 'CUSTOM needs the name of a provider')
  } else if (spec.provider !== undefined) found.error('spec.provider', `a provider goes with CUSTOM only, not with ${action}`)
  if (action === 'DENY' && spec.rules === undefined) found.error('spec.rules', never('DENY'))
  spec.rules?.forEach((rule, i) => checkRule(found, `spec.rules[${i}]`, rule, action))
}

function checkRule(found: Findings, path: string, rule: Rule, action: string): void {
  if (rule.from?.length === 0) found.error(`${path}.from`, 'from must not be empty; leave it out to mean everybody')
  if (rule.to?.length === 0) found.error(`${path}.to`, 'to must not be empty; leave it out to mean everything')
  rule.from?.forEach(({ source }, i) => checkSource(found, `${path}.from[${i}]`, source, action))
  rule.to?.forEach(({ operation }, i) => checkOperation(found, `${path}.to[${i}]`, operation))
  rule.when?.forEach(({ key, values, notValues }, i) => {
    const at = `${path}.when[${i}]`
    if ((key ?? '') === '') return found.error(`${at}.key`, 'a condition needs a key')
    if ((values ?? []).length === 0 && (notValues ?? []).length === 0) return found.error(at, `values or notValues must be set for ${key}`)
    if (action === 'CUSTOM' && /^(source\.(namespace|principal|serviceAccount|trustDomain)$|request\.auth\.)/.test(key as string)) found.error(`${at}.key`, `CUSTOM does not support ${key}`)
    found.error(`${at}.values`, conditionFault(key as string, values ?? []))
    found.error(`${at}.notValues`, conditionFault(key as string, notValues ?? []))
  })
  const sources = (rule.from ?? []).flatMap((f) => (f.source === undefined ? [] : [f.source]))
  const operations = (rule.to ?? []).flatMap((t) => (t.operation === undefined ? [] : [t.operation]))
  const tcpFrom = sources.some((s) => tcpSources.some((name) => s[name] !== undefined))
  const tcpTo = operations.some((o) => o.ports !== undefined || o.notPorts !== undefined)
  if (action === 'DENY' && ((sources.length > 0 && operations.length === 0 && !tcpFrom) || (operations.length > 0 && !tcpTo))) {
    found.warn(path, 'this DENY rule uses HTTP attributes only, so it denies all traffic to TCP ports', 'name the port explicitly')
  }
}

function checkSource(found: Findings, path: string, source: Source | undefined, action: string): void {
  if (source === undefined) return found.error(`${path}.source`, 'from needs a source')
  const lists = Object.entries(source) as [string, readonly string[]][]
  if (lists.every(([, values]) => values.length === 0)) found.error(`${path}.source`, 'a source must not be empty')
  for (const [name, values] of lists) checkNoEmpty(found, `${path}.source.${name}`, values)
  for (const name of ipLists) source[name]?.forEach((ip, i) => found.error(`${path}.source.${name}[${i}]`, subnetFault(ip)))
  for (const name of ['serviceAccounts', 'notServiceAccounts'] as const) {
    source[name]?.forEach((account, i) => {
      found.error(`${path}.source.${name}[${i}]`, accountFault(account))
    })
  }
  if ((source.serviceAccounts ?? source.notServiceAccounts) !== undefined && (source.principals ?? source.notPrincipals ?? source.namespaces ?? source.notNamespaces) !== undefined) {
    found.error(`${path}.source`, 'serviceAccounts can’t stand beside namespaces or principals')
  }
  if (action === 'CUSTOM') for (const name of notForCustom) if ((source[name] ?? []).length > 0) found.error(`${path}.source.${name}`, `CUSTOM does not support ${name}`)
}

function checkOperation(found: Findings, path: string, operation: Operation | undefined): void {
  if (operation === undefined) return found.error(`${path}.operation`, 'to needs an operation')
  const lists = Object.entries(operation) as [string, readonly string[]][]
  if (lists.every(([, values]) => values.length === 0)) found.error(`${path}.operation`, 'an operation must not be empty')
  for (const [name, values] of lists) checkNoEmpty(found, `${path}.operation.${name}`, values)
  for (const name of ['ports', 'notPorts'] as const) operation[name]?.forEach((port, i) => found.error(`${path}.operation.${name}[${i}]`, textPortFault(port)))
  for (const name of ['paths', 'notPaths'] as const) operation[name]?.forEach((text, i) => found.error(`${path}.operation.${name}[${i}]`, pathFault(text)))
}

function checkNoEmpty(found: Findings, path: string, values: readonly string[]): void {
  values.forEach((value, i) => found.error(`${path}[${i}]`, value === '' ? 'an empty value matches nothing' : undefined))
}

/** Empty values are said elsewhere. */
function textPortFault(port: string): string | undefined {
  return port === '' || (/^\d+$/.test(port) && Number(port) <= 65535) ? undefined : `${JSON.stringify(port)} is no port number`
}

function accountFault(account: string): string | undefined {
  const parts = account.split('/')
  return account === '' || (parts.length <= 2 && parts.every((p) => p !== '') && account.length <= 320) ? undefined : `${JSON.stringify(account)} is neither <name> nor <namespace>/<name> of a service account`
}

const literal = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]*$/
/** `{*}` stands for one segment, `{**}` for any number and must be the last of them. */
function pathFault(path: string): string | undefined {
  const template = path.includes('{*}') || path.includes('{**}')
  let any = false
  for (const segment of path.replace(/^\/+|\/+$/g, '').split('/')) {
    if (segment === '{*}' || segment === '{**}') {
      if (any) return `${JSON.stringify(path)}: {**} must be the last operator`
      any = segment === '{**}'
    } else if (/[{}]/.test(segment)) return `${JSON.stringify(path)} has { or } outside {*} and {**}`
    else if (template && !literal.test(segment)) return `${JSON.stringify(path)} mixes a template with ${JSON.stringify(segment)}`
  }
  return undefined
}

const plainKeys: ReadonlySet<string> = new Set(['source.namespace', 'source.principal', 'source.serviceAccount', 'source.trustDomain', 'request.auth.principal', 'request.auth.audiences', 'request.auth.presenter', 'connection.sni'])
const bracketed = ['request.headers', 'request.inlineHeaders', 'request.auth.claims', 'experimental.envoy.filters.']

function conditionFault(key: string, values: readonly string[]): string | undefined {
  if (values.includes('')) return `an empty value of ${key} matches nothing`
  if (bracketed.some((prefix) => key.startsWith(prefix))) return /^[^[]+\[.+\]$/s.test(key) ? undefined : `the key ${key} must have the form a[b]`
  const first = (fault: (value: string) => string | undefined): string | undefined => values.map(fault).find((f) => f !== undefined)
  if (key === 'source.ip' || key === 'remote.ip' || key === 'destination.ip') return first(subnetFault)
  if (key === 'destination.port') return first(textPortFault)
  if (key === 'source.serviceAccount') return first(accountFault)
  if (plainKeys.has(key)) return undefined
  return `${JSON.stringify(key)} is no attribute that a condition can ask for`
}

export function checkRequestAuthentication(object: ApiObject, found: Findings): void {
  const spec = object.spec as RequestAuthenticationSpec
  checkTargets(found, spec)
  spec.jwtRules?.forEach((rule, i) => {
    const at = `spec.jwtRules[${i}]`
    const uri = rule.jwksUri ?? rule.jwks_uri
    if ((rule.issuer ?? '') === '' && (uri ?? '') === '') found.error(`${at}.issuer`, 'an issuer (or a jwksUri) is required')
    rule.audiences?.forEach((a, n) => found.error(`${at}.audiences[${n}]`, a === '' ? 'an audience must not be empty' : undefined))
    if (uri !== undefined && !/^https?:\/\/[^/?#]+/i.test(uri)) found.error(`${at}.jwksUri`, `${JSON.stringify(uri)} is no URL with the scheme http or https`)
    if ((rule.jwks ?? '') !== '') found.error(`${at}.jwks`, jwksFault(rule.jwks as string))
    rule.outputClaimToHeaders?.forEach(({ header }, n) => found.error(`${at}.outputClaimToHeaders[${n}].header`, headerNameFault(header ?? '')))
  })
}

function jwksFault(text: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return isRecord(parsed) && (Array.isArray(parsed['keys']) || typeof parsed['kty'] === 'string') ? undefined : 'jwks must be a JSON Web Key Set: {"keys": […]}'
  } catch {
    return 'jwks must be a JSON Web Key Set, and is no JSON'
  }
}
