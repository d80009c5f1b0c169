// security.istio.io: https://istio.io/latest/docs/reference/config/security/
import { boolean, duration, list, map, object, oneOf, required, rule, string, type Infer, type Schema } from '../schema.ts'
import { urlScheme } from '../url.ts'

const strings = () => list(string())
const texts = () => list(string({ minLength: 1 }))

/** The selector of security, telemetry and ProxyConfig; DestinationRule uses it too. */
export const selector = object({
  matchLabels: rule(
    rule(map(rule(string({ maxLength: 63 }), 'a label to select by takes no wildcard', '!self.contains("*")', (v: string) => !v.includes('*')), { maxProperties: 4096 }),
      'a label to select by takes no wildcard', 'self.all(key, !key.contains("*"))', (labels) => !Object.keys(labels).some((k) => k.includes('*'))),
    'a label to select by needs a key', 'self.all(key, key.size() != 0)', (labels) => !Object.keys(labels).includes('')),
})

const targetRef = required(object({
  group: string({ maxLength: 253, pattern: '^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$' }),
  kind: string({ minLength: 1, maxLength: 63, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$' }),
  name: string({ minLength: 1, maxLength: 253 }),
  namespace: rule(string(), 'a reference to another namespace is not supported', 'self.size() == 0', (v: string) => v === ''),
}), 'kind', 'name')

interface Targeted { readonly selector?: unknown; readonly targetRef?: unknown; readonly targetRefs?: readonly unknown[] }
const attached = { selector, targetRef, targetRefs: list(targetRef, { maxItems: 16 }) }
const oneTarget = <T extends Targeted>(schema: Schema<T>): Schema<T> =>
  rule(schema, 'only one of targetRef, targetRefs and selector may be set', '(has(self.selector) ? 1 : 0) + (has(self.targetRef) ? 1 : 0) + (has(self.targetRefs) ? 1 : 0) <= 1',
    (s) => [s.selector, s.targetRef, s.targetRefs].filter((v) => v !== undefined).length <= 1)

export const mtls = object({ mode: oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') })

export const peerAuthentication = rule(
  object({
    selector, mtls,
    portLevelMtls: rule(map(mtls, { minProperties: 1, numbered: true }), 'a port must be a number from 1 to 65535 (the container’s, not the Service’s, and not its name)', 'self.all(key, 0 < int(key) && int(key) <= 65535)',
      (ports) => Object.keys(ports).every((key) => Number(key) >= 1 && Number(key) <= 65535)),
  }),
  'portLevelMtls needs a selector: ports belong to workloads', 'has(self.portLevelMtls) ? (has(self.selector) && has(self.selector.matchLabels) && self.selector.matchLabels.size() > 0) : true',
  (s) => s.portLevelMtls === undefined || Object.keys(s.selector?.matchLabels ?? {}).length > 0,
)
export type PeerAuthenticationSpec = Infer<typeof peerAuthentication>

const source = rule(
  object({
    principals: strings(), notPrincipals: strings(), requestPrincipals: strings(), notRequestPrincipals: strings(), namespaces: strings(), notNamespaces: strings(),
    ipBlocks: strings(), notIpBlocks: strings(), remoteIpBlocks: strings(), notRemoteIpBlocks: strings(),
    serviceAccounts: list(string({ maxLength: 320 }), { maxItems: 16 }), notServiceAccounts: list(string({ maxLength: 320 }), { maxItems: 16 }), trustDomains: strings(), notTrustDomains: strings(),
  }),
  'serviceAccounts can’t stand beside namespaces or principals', '(has(self.serviceAccounts) || has(self.notServiceAccounts)) ? !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces)) : true',
  (s) => (s.serviceAccounts ?? s.notServiceAccounts) === undefined || (s.principals ?? s.notPrincipals ?? s.namespaces ?? s.notNamespaces) === undefined,
)
const operation = object({ hosts: strings(), notHosts: strings(), ports: strings(), notPorts: strings(), methods: strings(), notMethods: strings(), paths: strings(), notPaths: strings() })
const condition = required(object({ key: string(), values: strings(), notValues: strings() }), 'key')

export const authorizationPolicy = oneTarget(object({
  ...attached,
  rules: list(object({ from: list(object({ source }), { maxItems: 512 }), to: list(object({ operation })), when: list(condition) }), { maxItems: 512 }),
  action: oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
  provider: object({ name: string() }),
}))
export type AuthorizationPolicySpec = Infer<typeof authorizationPolicy>

const jwtHeader = required(object({ name: string({ minLength: 1 }), prefix: string() }), 'name')
const jwksUri = () => rule(string({ minLength: 1, maxLength: 2048 }), 'must be a URL with the scheme http or https', "url(self).getScheme() in ['http', 'https']", (uri: string) => /^https?$/.test(urlScheme(uri) ?? ''))
const claimToHeader = required(object({ header: string({ minLength: 1, pattern: '^[-_A-Za-z0-9]+$' }), claim: string({ minLength: 1 }) }), 'header', 'claim')

export const requestAuthentication = oneTarget(object({
  ...attached,
  jwtRules: list(
    rule(object({
      issuer: string(), audiences: texts(), jwksUri: jwksUri(), jwks_uri: jwksUri(), jwks: string(), fromHeaders: list(jwtHeader), fromParams: texts(), fromCookies: texts(),
      outputPayloadToHeader: string(), forwardOriginalToken: boolean(), outputClaimToHeaders: list(claimToHeader), timeout: duration(), spaceDelimitedClaims: list(string({ minLength: 1 }), { maxItems: 64 }),
    }), 'only one of jwks and jwksUri may be set', '(has(self.jwksUri) ? 1 : 0) + (has(self.jwks_uri) ? 1 : 0) + (has(self.jwks) ? 1 : 0) <= 1',
      (r) => [r.jwks, r.jwksUri, r.jwks_uri].filter((v) => v !== undefined).length <= 1),
    { maxItems: 4096 },
  ),
}))
export type RequestAuthenticationSpec = Infer<typeof requestAuthentication>

export { attached, oneTarget, targetRef }
