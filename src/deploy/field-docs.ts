// What `kubectl explain` says of the mesh's fields. A line: the end of a field's path, then a sentence; of several ends that fit, the longest counts. Lists and maps are no steps of a path.
// Law: says what the field does, in a sentence; a line that fits no field, and a field of the kinds in everyday use without a line, fail a test.
import { networkingDocs } from './field-docs-networking.ts'

const securityDocs = `
selector | The workloads that this is for; without it, all of the namespace (in the root namespace: of the mesh).
selector.matchLabels | Labels that a workload must carry, all of them. No wildcards.
targetRef | The object that this is attached to; instead of a selector.
targetRefs | The objects that this is attached to; instead of a selector.
targetRef.group | API group of the object; empty for the core group.
targetRef.kind | Kind of the object.
targetRef.name | Name of the object.
targetRef.namespace | Namespace of the object; must be the own one, so leave it out.
targetRefs.group | API group of the object; empty for the core group.
targetRefs.kind | Kind of the object.
targetRefs.name | Name of the object.
targetRefs.namespace | Namespace of the object; must be the own one, so leave it out.
PeerAuthentication.mtls | What is taken where no port says otherwise.
mtls.mode | STRICT: mutual TLS alone. PERMISSIVE: mutual TLS and plaintext. DISABLE: plaintext alone. UNSET: as the wider policy says.
portLevelMtls | By container port (not the Service's port, nor its name): what that port takes. Needs a selector.
portLevelMtls.mode | STRICT, PERMISSIVE, DISABLE; UNSET: as this policy's mtls says.
AuthorizationPolicy.rules | A request that fits one of the rules is matched. No rules match nothing; one empty rule matches everything.
rules.from | Where the request comes from: one of these sources. Left out: anywhere.
rules.to | What it asks for: one of these operations. Left out: anything.
rules.when | What else must hold: all of these conditions.
from.source | All that is named here must hold of the caller.
source.principals | Identities of callers with mutual TLS: cluster.local/ns/NAMESPACE/sa/ACCOUNT. A * may stand first or last.
source.notPrincipals | Identities that must not match.
source.requestPrincipals | ISSUER/SUBJECT of a token that was verified.
source.notRequestPrincipals | Token principals that must not match.
source.namespaces | Namespaces of callers with mutual TLS.
source.notNamespaces | Namespaces that must not match.
source.ipBlocks | Addresses of the connection: one, or a range as 10.0.0.0/8.
source.notIpBlocks | Addresses that must not match.
source.remoteIpBlocks | Addresses of the original client, as X-Forwarded-For has them.
source.notRemoteIpBlocks | Original addresses that must not match.
source.serviceAccounts | Service accounts of callers with mutual TLS: NAMESPACE/ACCOUNT, or an account of this namespace.
source.notServiceAccounts | Service accounts that must not match.
source.trustDomains | Trust domains of callers with mutual TLS.
source.notTrustDomains | Trust domains that must not match.
to.operation | All that is named here must hold of the request.
operation.hosts | Hosts that are asked for; case does not matter. A * may stand first or last.
operation.notHosts | Hosts that must not match.
operation.ports | Ports as the workload has them.
operation.notPorts | Ports that must not match.
operation.methods | HTTP methods.
operation.notMethods | HTTP methods that must not match.
operation.paths | Paths, without the query; a * first or last, or a template such as /v1/{*}/status.
operation.notPaths | Paths that must not match.
when.key | What is looked at, such as request.headers[x-token], source.ip, request.auth.claims[group].
when.values | One of these must match.
when.notValues | None of these may match.
AuthorizationPolicy.action | What happens to a request that a rule matches: ALLOW (and then all that no ALLOW matches is refused), DENY, AUDIT, CUSTOM.
AuthorizationPolicy.provider | For CUSTOM: who decides.
provider.name | Name of an extension provider in meshConfig.
RequestAuthentication.jwtRules | Which tokens are taken. A request with a token that fits none is refused; one without a token passes, unless an AuthorizationPolicy wants one.
jwtRules.issuer | The claim iss must be this.
jwtRules.audiences | The claim aud must have one of these.
jwtRules.jwksUri | Where the issuer's public keys are.
jwtRules.jwks_uri | The same as jwksUri, in an older spelling.
jwtRules.jwks | The issuer's public keys themselves, as a JSON Web Key Set.
jwtRules.fromHeaders | Headers that may carry the token. Without any place: Authorization: Bearer, and the query parameter access_token.
fromHeaders.name | Name of the header.
fromHeaders.prefix | What stands before the token in it, such as "Bearer ".
jwtRules.fromParams | Query parameters that may carry the token.
jwtRules.fromCookies | Cookies that may carry the token.
jwtRules.outputPayloadToHeader | Header that gets the token's verified payload, for the application.
jwtRules.forwardOriginalToken | Whether the application gets the token too.
jwtRules.outputClaimToHeaders | Claims that the application gets as headers.
outputClaimToHeaders.header | Name of the header.
outputClaimToHeaders.claim | Name of the claim; a.b for one within another.
jwtRules.timeout | How long fetching the keys may take.
jwtRules.spaceDelimitedClaims | Claims whose text is a list parted by spaces.
`

interface Line { readonly end: string; readonly text: string }

function parse(table: string): Line[] {
  return table.trim().split('\n').map((line) => {
    const bar = line.indexOf(' | ')
    return { end: line.slice(0, bar), text: line.slice(bar + 3) }
  })
}

/** Longest first. */
export const docLines: readonly Line[] = [...parse(securityDocs), ...parse(networkingDocs)].sort((a, b) => b.end.split('.').length - a.end.split('.').length || b.end.length - a.end.length)

/** `path`: `PeerAuthentication.mtls.mode`. */
export function fieldDoc(path: string): string | undefined {
  return docLines.find(({ end }) => path === end || path.endsWith(`.${end}`))?.text
}
