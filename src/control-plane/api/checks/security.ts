// What Istio's webhook refuses in PeerAuthentication, AuthorizationPolicy and RequestAuthentication.
import type { AuthorizationPolicySpec, PeerAuthenticationSpec, RequestAuthenticationSpec } from '../kinds/security.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { jwksFault, privateKeyAt } from './jwks.ts'
import { urlScheme } from '../url.ts'
import { portFault, subnetFault } from './names.ts'
import { checkSelector, checkTargets, headerNameFault } from './shared.ts'

export function checkPeerAuthentication(object: ApiObject, found: Findings): void {
  const spec = object.spec as PeerAuthenticationSpec
  const ports = Object.keys(spec.portLevelMtls ?? {})
  if (ports.length > 0 && Object.keys(spec.selector?.matchLabels ?? {}).length === 0) found.error('spec.portLevelMtls', 'portLevelMtls needs a selector: ports belong to workloads')
  for (const port of ports) found.error(`spec.portLevelMtls.${port}`, portFault(Number(port)))
  checkSelector(found, 'spec.selector', spec.selector)
}

type Rule = NonNullable<AuthorizationPolicySpec['rules']>[number]
type Source = NonNullable<NonNullable<Rule['from']>[number]['source']>
type Operation = NonNullable<NonNullable<Rule['to']>[number]['operation']>

const tcpSources = ['principals', 'notPrincipals', 'ipBlocks', 'notIpBlocks', 'namespaces', 'notNamespaces', 'remoteIpBlocks', 'notRemoteIpBlocks', 'serviceAccounts', 'notServiceAccounts'] as const
const ipLists = ['ipBlocks', 'notIpBlocks', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const
const notForCustom = ['namespaces', 'notNamespaces', 'principals', 'notPrincipals', 'requestPrincipals', 'notRequestPrincipals', 'serviceAccounts', 'notServiceAccounts', 'trustDomains', 'notTrustDomains'] as const

export function checkAuthorizationPolicy(object: ApiObject, found: Findings): void {
  const spec = object.spec as AuthorizationPolicySpec
  checkTargets(found, spec)
  const action = spec.action ?? 'ALLOW'
  const never = (name: string): string => `${name} without rules is never triggered; add an empty rule ({}) to trigger it for every request`
  if (action === 'CUSTOM') {
    if (none(spec.rules)) found.error('spec.rules', never('CUSTOM'))
    else if ((spec.provider?.name ?? '') === '') found.error('spec.provider.name', 'CUSTOM needs the name of a provider')
  } else if (spec.provider !== undefined) found.error('spec.provider', `a provider goes with CUSTOM only, not with ${action}`)
  if (action === 'DENY' && none(spec.rules)) found.error('spec.rules', never('DENY'))
  spec.rules?.forEach((rule, i) => checkRule(found, `spec.rules[${i}]`, rule, action))
}

/** An empty list is none: protobuf can't tell them apart. */
const none = (list: readonly unknown[] | undefined): boolean => (list ?? []).length === 0

function checkRule(found: Findings, path: string, rule: Rule, action: string): void {
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
  const tcpFrom = sources.some((s) => tcpSources.some((name) => !none(s[name])))
  const tcpTo = operations.some((o) => !none(o.ports) || !none(o.notPorts))
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
    source[name]?.forEach((account, i) => found.error(`${path}.source.${name}[${i}]`, accountFault(account)))
    found.error(`${path}.source.${name}`, manyAccounts(source[name]))
  }
  for (const name of ['trustDomains', 'notTrustDomains'] as const) source[name]?.forEach((domain, i) => found.error(`${path}.source.${name}[${i}]`, wildcardFault(domain) ?? (domain.includes('/') ? `${JSON.stringify(domain)} is no trust domain: it has a /` : undefined)))
  if (!(none(source.serviceAccounts) && none(source.notServiceAccounts)) && !(none(source.principals) && none(source.notPrincipals) && none(source.namespaces) && none(source.notNamespaces))) {
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

const manyAccounts = (accounts: readonly string[] | undefined): string | undefined => ((accounts ?? []).length > 16 ? 'more than 16 service accounts' : undefined)

/** `*`, `prefix*` or `*suffix`. */
function wildcardFault(value: string): string | undefined {
  if (value.indexOf('*') !== value.lastIndexOf('*')) return `${JSON.stringify(value)} has more than one *`
  return value.includes('*') && !value.startsWith('*') && !value.endsWith('*') ? `${JSON.stringify(value)} has its * neither at the start nor at the end` : undefined
}

function accountFault(account: string): string | undefined {
  if (account.includes('*')) return `a service account takes no wildcard: ${account}`
  const parts = account.split('/')
  return account === '' || (parts.length <= 2 && parts.every((p) => p !== '') && account.length <= 320) ? undefined : `${JSON.stringify(account)} is neither <name> nor <namespace>/<name> of a service account`
}

const literal = /^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$/
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

const plainKeys: ReadonlySet<string> = new Set(['source.namespace', 'source.principal', 'request.auth.principal', 'request.auth.audiences', 'request.auth.presenter', 'connection.sni'])
const bracketed = ['request.headers', 'request.inlineHeaders', 'request.auth.claims', 'experimental.envoy.filters.']

function conditionFault(key: string, values: readonly string[]): string | undefined {
  if (values.includes('')) return `an empty value of ${key} matches nothing`
  if (bracketed.some((prefix) => key.startsWith(prefix))) return /^[^[]+\[.+\]$/s.test(key) ? undefined : `the key ${key} must have the form a[b]`
  const first = (fault: (value: string) => string | undefined): string | undefined => values.map(fault).find((f) => f !== undefined)
  if (key === 'source.ip' || key === 'remote.ip' || key === 'destination.ip') return first(subnetFault)
  if (key === 'destination.port') return first(textPortFault)
  if (key === 'source.serviceAccount') return manyAccounts(values) ?? first(accountFault)
  if (key === 'source.trustDomain') return first(wildcardFault)
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
    if ((uri ?? '') !== '' && !/^https?$/.test(urlScheme(uri as string) ?? '')) found.error(`${at}.jwksUri`, `${JSON.stringify(uri)} is no URL with the scheme http or https`)
    if ((rule.jwks ?? '') !== '') {
      const fault = jwksFault(rule.jwks as string)
      found.error(`${at}.jwks`, fault)
      const secret = fault === undefined ? privateKeyAt(rule.jwks as string) : -1
      if (secret !== -1) found.warn(`${at}.jwks`, `key ${secret} is a private one, and everybody who can read this object can sign with it`, 'write the public key only')
    }
    const empty = (path: string, text: string | undefined, what: string): void => found.error(`${at}.${path}`, (text ?? '') === '' ? what : undefined)
    rule.fromHeaders?.forEach(({ name }, n) => empty(`fromHeaders[${n}].name`, name, 'a header needs a name'))
    for (const name of ['fromParams', 'fromCookies'] as const) rule[name]?.forEach((text, n) => empty(`${name}[${n}]`, text, 'must not be empty'))
    rule.outputClaimToHeaders?.forEach(({ header, claim }, n) => {
      empty(`outputClaimToHeaders[${n}].claim`, claim, 'a claim needs a name')
      found.error(`${at}.outputClaimToHeaders[${n}].header`, headerNameFault(header ?? ''))
    })
  })
}
