// security.istio.io: https://istio.io/latest/docs/reference/config/security/
import { any, boolean, duration, list, map, object, oneOf, string, uint32, type Infer } from '../schema.ts'

export const selector = object({ matchLabels: map(string()) })
const targetRef = object({ group: string(), kind: string(), name: string(), namespace: string() })

export const mtls = object({ mode: oneOf('UNSET', 'DISABLE', 'PERMISSIVE', 'STRICT') })

export const peerAuthentication = object({ selector, mtls, portLevelMtls: map(mtls) })
export type PeerAuthenticationSpec = Infer<typeof peerAuthentication>

const strings = () => list(string())
const source = object({
  principals: strings(), notPrincipals: strings(), requestPrincipals: strings(), notRequestPrincipals: strings(), namespaces: strings(), notNamespaces: strings(),
  ipBlocks: strings(), notIpBlocks: strings(), remoteIpBlocks: strings(), notRemoteIpBlocks: strings(), serviceAccounts: strings(), notServiceAccounts: strings(), trustDomains: strings(), notTrustDomains: strings(),
})
const operation = object({ hosts: strings(), notHosts: strings(), ports: strings(), notPorts: strings(), methods: strings(), notMethods: strings(), paths: strings(), notPaths: strings() })
const condition = object({ key: string(), values: strings(), notValues: strings() })

export const authorizationPolicy = object(
  {
    selector, targetRef, targetRefs: list(targetRef),
    rules: list(object({ from: list(object({ source })), to: list(object({ operation })), when: list(condition) })),
    action: oneOf('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
    provider: object({ name: string() }),
  },
)
export type AuthorizationPolicySpec = Infer<typeof authorizationPolicy>

const jwtHeader = object({ name: string(), prefix: string() })
export const requestAuthentication = object({
  selector, targetRef, targetRefs: list(targetRef),
  jwtRules: list(object({
    issuer: string(), audiences: strings(), jwksUri: string(), jwks_uri: string(), jwks: string(), fromHeaders: list(jwtHeader), fromParams: strings(), fromCookies: strings(),
    outputPayloadToHeader: string(), forwardOriginalToken: boolean(), outputClaimToHeaders: list(object({ header: string(), claim: string() })), timeout: duration(), spaceDelimitedClaims: strings(),
  })),
})
export type RequestAuthenticationSpec = Infer<typeof requestAuthentication>

export const telemetry = object({
  selector, targetRef, targetRefs: list(targetRef), tracing: list(any()), metrics: list(any()), accessLogging: list(any()),
})

export const proxyConfig = object({ selector, concurrency: uint32(), environmentVariables: map(string()), image: object({ imageType: string() }) })
