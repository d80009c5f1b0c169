// Which fields of the served kinds are carried out, by whom, and what happens instead. Nothing is silently ignored: a field that no list has fails a test.
// Paths: `[]` any item of a list, `{}` any value of a map; a policy's own paths hold wherever a policy may stand (general, by port, by subset).
import type { Problem } from '#lib/problem.ts'
import type { Sidecar } from './kinds.ts'
import { isRecord } from './decode-fields.ts'
import { refTo, type ApiObject } from './object.ts'

export interface Shortfall {
  /** `envoy`: generated, and a stock Envoy serves it; `nobody`: neither does. */
  readonly by: 'envoy' | 'nobody'
  /** What Kith's sidecar does instead, as the end of a sentence. */
  readonly instead: string
  readonly help?: string
  /** Only these values fall short; default: any. */
  readonly when?: (value: unknown) => boolean
}

const yes = (value: unknown): boolean => value === true
const nobody = (instead: string, help?: string, when?: Shortfall['when']): Shortfall => ({ by: 'nobody', instead, ...(help === undefined ? {} : { help }), ...(when === undefined ? {} : { when }) })
const envoy = (instead: string, help?: string, when?: Shortfall['when']): Shortfall => ({ ...nobody(instead, help, when), by: 'envoy' })

const paths = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))
const matchers = (...names: string[]): string => names.flatMap((n) => ['exact', 'prefix', 'regex'].map((k) => `${n}.${k}`)).join(' ')
const operations = (...names: string[]): string => names.flatMap((n) => ['request', 'response'].flatMap((side) => ['set{}', 'add{}', 'remove[]'].map((op) => `${n}.${side}.${op}`))).join(' ')
const destination = (...names: string[]): string => names.flatMap((n) => ['host', 'subset', 'port.number'].map((f) => `${n}.${f}`)).join(' ')

const virtualServiceServed = paths(`hosts[] gateways[] exportTo[] http[].name http[].match[].name http[].match[].port http[].match[].sourceLabels{} http[].match[].gateways[] http[].match[].ignoreUriCase http[].match[].sourceNamespace
  ${matchers('http[].match[].uri', 'http[].match[].scheme', 'http[].match[].method', 'http[].match[].authority', 'http[].match[].headers{}', 'http[].match[].queryParams{}', 'http[].match[].withoutHeaders{}')}
  ${destination('http[].route[].destination', 'http[].mirror', 'http[].mirrors[].destination', 'tls[].route[].destination', 'tcp[].route[].destination')} http[].route[].weight ${operations('http[].route[].headers', 'http[].headers')}
  http[].redirect.uri http[].redirect.authority http[].redirect.port http[].redirect.derivePort http[].redirect.scheme http[].redirect.redirectCode http[].redirect.prefixRewrite
  http[].directResponse.status http[].directResponse.body.string http[].directResponse.body.bytes http[].delegate.name http[].delegate.namespace
  http[].rewrite.uri http[].rewrite.authority http[].rewrite.uriRegexRewrite.match http[].rewrite.uriRegexRewrite.rewrite http[].timeout
  http[].retries.attempts http[].retries.perTryTimeout http[].retries.retryOn http[].retries.retryIgnorePreviousHosts http[].retries.backoff
  http[].fault.delay.percent http[].fault.delay.fixedDelay http[].fault.delay.percentage.value http[].fault.abort.httpStatus http[].fault.abort.grpcStatus http[].fault.abort.percentage.value
  http[].mirrors[].percentage.value http[].mirrorPercent http[].mirror_percent http[].mirrorPercentage.value
  http[].corsPolicy.allowOrigin[] ${matchers('http[].corsPolicy.allowOrigins[]')} http[].corsPolicy.allowMethods[] http[].corsPolicy.allowHeaders[] http[].corsPolicy.exposeHeaders[] http[].corsPolicy.maxAge
  http[].corsPolicy.allowCredentials http[].corsPolicy.unmatchedPreflights
  tls[].match[].sniHosts[] tls[].match[].destinationSubnets[] tls[].match[].port tls[].match[].sourceLabels{} tls[].match[].gateways[] tls[].match[].sourceNamespace tls[].route[].weight
  tcp[].match[].destinationSubnets[] tcp[].match[].port tcp[].match[].sourceLabels{} tcp[].match[].gateways[] tcp[].match[].sourceNamespace tcp[].route[].weight`)

const virtualServiceShort: Readonly<Record<string, Shortfall>> = {
  'http[].match[].statPrefix': nobody('statistics carry no prefix'),
  'http[].retries.retryRemoteLocalities': envoy('a retry stays in the localities that are in turn', undefined, yes),
  'http[].fault.delay.exponentialDelay': nobody('no request is delayed', 'write fixedDelay'),
  'http[].fault.abort.percent': nobody('every request is aborted', 'write percentage'),
  'http[].fault.abort.http2Error': nobody('no request is aborted', 'write httpStatus or grpcStatus'),
  'tcp[].match[].sourceSubnet': nobody('the rule matches whatever the source', 'write sourceLabels'),
}

const policyServed = paths(`tls.caCrl loadBalancer.simple loadBalancer.consistentHash.httpHeaderName loadBalancer.consistentHash.httpCookie.name loadBalancer.consistentHash.httpCookie.path loadBalancer.consistentHash.httpCookie.ttl
  loadBalancer.consistentHash.httpCookie.attributes[].name loadBalancer.consistentHash.httpCookie.attributes[].value loadBalancer.consistentHash.useSourceIp loadBalancer.consistentHash.httpQueryParameterName
  loadBalancer.consistentHash.ringHash.minimumRingSize loadBalancer.consistentHash.maglev.tableSize loadBalancer.consistentHash.minimumRingSize
  loadBalancer.localityLbSetting.distribute[].from loadBalancer.localityLbSetting.distribute[].to{} loadBalancer.localityLbSetting.failover[].from loadBalancer.localityLbSetting.failover[].to
  loadBalancer.localityLbSetting.failoverPriority[] loadBalancer.localityLbSetting.enabled
  connectionPool.tcp.maxConnections connectionPool.tcp.connectTimeout connectionPool.tcp.idleTimeout connectionPool.tcp.maxConnectionDuration connectionPool.tcp.tcpKeepalive.time
  connectionPool.http.http1MaxPendingRequests connectionPool.http.http2MaxRequests connectionPool.http.maxRequestsPerConnection connectionPool.http.maxRetries connectionPool.http.idleTimeout
  connectionPool.http.h2UpgradePolicy connectionPool.http.useClientProtocol connectionPool.http.maxConcurrentStreams connectionPool.http.http2KeepAlive.interval connectionPool.http.http2KeepAlive.timeout
  outlierDetection.splitExternalLocalOriginErrors outlierDetection.consecutiveLocalOriginFailures outlierDetection.consecutiveGatewayErrors outlierDetection.consecutive5xxErrors outlierDetection.interval
  outlierDetection.baseEjectionTime outlierDetection.maxEjectionPercent outlierDetection.minHealthPercent
  tls.mode tls.clientCertificate tls.privateKey tls.caCertificates tls.subjectAltNames[] tls.sni tls.insecureSkipVerify`)

const noZones = 'zones are not balanced against one another'
const zonesHelp = 'write localityLbSetting'
const policyShort: Readonly<Record<string, Shortfall>> = {
  'loadBalancer.warmupDurationSecs': envoy('a new endpoint gets its whole share at once'),
  'loadBalancer.warmup.duration': envoy('a new endpoint gets its whole share at once'),
  'loadBalancer.warmup.minimumPercent': envoy('a new endpoint gets its whole share at once'),
  'loadBalancer.warmup.aggression': envoy('a new endpoint gets its whole share at once'),
  'connectionPool.tcp.tcpKeepalive.probes': envoy('the kernel’s own number of probes holds'),
  'connectionPool.tcp.tcpKeepalive.interval': envoy('the kernel’s own interval holds'),
  'outlierDetection.consecutiveErrors': nobody('no endpoint is ejected by it', 'write consecutive5xxErrors or consecutiveGatewayErrors'),
  'outlierDetection.outlierDetectionHttpErrorCodes[]': nobody('5xx answers count, and no others'),
  'loadBalancer.zoneAwareLbSetting.failover[].from': nobody(noZones, zonesHelp),
  'loadBalancer.zoneAwareLbSetting.failover[].to': nobody(noZones, zonesHelp),
  'loadBalancer.zoneAwareLbSetting.failoverPriority[]': nobody(noZones, zonesHelp),
  'loadBalancer.zoneAwareLbSetting.enabled': nobody(noZones, zonesHelp, yes),
  'loadBalancer.zoneAwareLbSetting.minClusterSize': nobody(noZones, zonesHelp),
  'tls.credentialName': nobody('in a rule without workloadSelector it is for gateways, and a sidecar sends plaintext, as in Istio', 'give the rule a workloadSelector, or mount files and name them: clientCertificate, privateKey, caCertificates'),
}
const policyTopShort: Readonly<Record<string, Shortfall>> = {
  'tunnel.protocol': nobody('connections go to the service itself'),
  'tunnel.targetHost': nobody('connections go to the service itself'),
  'tunnel.targetPort': nobody('connections go to the service itself'),
  'proxyProtocol.version': nobody('no PROXY header is sent'),
  'retryBudget.percent': envoy('maxRetries alone limits retries'),
  'retryBudget.minRetryConcurrency': envoy('maxRetries alone limits retries'),
  'retryBudget.budgetInterval': nobody('the budget holds at every moment'),
}

const destinationRuleServed = paths('host exportTo[] workloadSelector.matchLabels{} subsets[].name subsets[].labels{}')
const places = ['trafficPolicy.portLevelSettings[].', 'subsets[].trafficPolicy.portLevelSettings[].', 'trafficPolicy.', 'subsets[].trafficPolicy.']

interface Fields {
  readonly served: ReadonlySet<string>
  readonly short: Readonly<Record<string, Shortfall>>
}

const attachedServed = 'selector.matchLabels{}'
const toGateway = nobody('gateways and waypoints are not served, and the policy holds for no sidecar', 'write a selector, or neither: then it holds for the namespace')
const attachedShort: Fields['short'] = Object.fromEntries(['targetRef.', 'targetRefs[].'].flatMap((at) => ['group', 'kind', 'name', 'namespace'].map((f) => [`${at}${f}`, toGateway])))
const lists = (at: string, names: string): string => names.split(' ').flatMap((n) => [`${at}.${n}[]`, `${at}.not${n[0]?.toUpperCase()}${n.slice(1)}[]`]).join(' ')

const entryServed = (at: string): string => ['ports{}', 'labels{}', 'locality', 'weight', 'serviceAccount'].map((f) => at + f).join(' ')
const entryShort = (at: string): Fields['short'] => ({
  [`${at}address`]: nobody('unix sockets are not dialled, and the endpoint gets no calls', 'give an IP address', (value) => typeof value === 'string' && value.startsWith('unix://')),
  [`${at}network`]: nobody('networks are not told apart, and its address is called as it stands', 'give an address that every client reaches'),
})

const poolPaths = [...policyServed].filter((path) => path.startsWith('connectionPool.')).map((path) => path.slice('connectionPool.'.length))
const poolShort = (at: string): Fields['short'] => Object.fromEntries(Object.entries(policyShort).flatMap(([path, short]) => (path.startsWith('connectionPool.') ? [[at + path.slice('connectionPool.'.length), short]] : [])))
const ingressTls = nobody('the port’s TLS goes by mode, serverCertificate, privateKey, caCertificates and subjectAltNames alone', 'check it in the application, or let PeerAuthentication ask for mutual TLS of the mesh')

const others: Readonly<Record<string, Fields>> = {
  PeerAuthentication: { served: paths(`${attachedServed} mtls.mode portLevelMtls{}.mode`), short: {} },
  AuthorizationPolicy: {
    served: paths(`${attachedServed} action provider.name ${lists('rules[].from[].source', 'principals requestPrincipals namespaces ipBlocks remoteIpBlocks serviceAccounts trustDomains')} ${lists('rules[].to[].operation', 'hosts ports methods paths')}
      rules[].when[].key rules[].when[].values[] rules[].when[].notValues[]`),
    short: attachedShort,
  },
  RequestAuthentication: {
    served: paths(`${attachedServed} ${['issuer', 'audiences[]', 'jwksUri', 'jwks_uri', 'jwks', 'fromHeaders[].name', 'fromHeaders[].prefix', 'fromParams[]', 'fromCookies[]', 'outputPayloadToHeader', 'forwardOriginalToken', 'outputClaimToHeaders[].header',
      'outputClaimToHeaders[].claim', 'timeout', 'spaceDelimitedClaims[]'].map((f) => `jwtRules[].${f}`).join(' ')}`),
    short: attachedShort,
  },
  ServiceEntry: {
    served: paths(`hosts[] addresses[] ports[].number ports[].protocol ports[].name ports[].targetPort location exportTo[] subjectAltNames[] workloadSelector.labels{} ${entryServed('endpoints[].')}`),
    short: {
      ...entryShort('endpoints[].'),
      resolution: nobody('names are resolved as by DNS, and a call to a wildcard goes where the application’s own resolver led', 'write DNS, or NONE for a wildcard', (value) => value === 'DYNAMIC_DNS'),
    },
  },
  WorkloadEntry: { served: paths(entryServed('')), short: entryShort('') },
  Sidecar: {
    served: paths(`workloadSelector.labels{} ${['ingress', 'egress'].flatMap((side) => ['port.number', 'port.protocol', 'port.name', 'port.targetPort', 'bind', 'captureMode'].map((f) => `${side}[].${f}`)).join(' ')} ingress[].defaultEndpoint egress[].hosts[]
      ${['mode', 'serverCertificate', 'privateKey', 'caCertificates', 'subjectAltNames[]', 'credentialName', 'credentialNames[]'].map((f) => `ingress[].tls.${f}`).join(' ')} outboundTrafficPolicy.mode
      ${['host', 'subset', 'port.number'].map((f) => `outboundTrafficPolicy.egressProxy.${f}`).join(' ')} ${poolPaths.flatMap((path) => [`ingress[].connectionPool.${path}`, `inboundConnectionPool.${path}`]).join(' ')}`),
    short: {
      ...Object.fromEntries(['httpsRedirect', 'insecureSkipVerify', 'caCrl', 'caCertCredentialName', 'verifyCertificateSpki[]', 'verifyCertificateHash[]', 'minProtocolVersion', 'maxProtocolVersion', 'cipherSuites[]', 'tlsCertificates[].serverCertificate',
        'tlsCertificates[].privateKey', 'tlsCertificates[].caCertificates'].map((f) => [`ingress[].tls.${f}`, ingressTls])),
      ...poolShort('ingress[].connectionPool.'), ...poolShort('inboundConnectionPool.'),
    },
  },
}

/** Kinds whose fields are looked at one by one. */
export const fieldKinds: ReadonlySet<string> = new Set(['VirtualService', 'DestinationRule', ...Object.keys(others)])

/** true: served; undefined: no list has it. */
export function servingOf(kind: string, path: string): true | Shortfall | undefined {
  const own = others[kind]
  if (own !== undefined) return own.short[path] ?? (own.served.has(path) ? true : undefined)
  if (kind === 'VirtualService') return virtualServiceServed.has(path) ? true : virtualServiceShort[path]
  if (destinationRuleServed.has(path)) return true
  const place = places.find((p) => path.startsWith(p))
  if (place === undefined) return undefined
  const ofPolicy = path.slice(place.length)
  const byPort = place.includes('portLevelSettings')
  if (policyServed.has(ofPolicy) || (byPort && ofPolicy === 'port.number')) return true
  return policyShort[ofPolicy] ?? (byPort ? undefined : policyTopShort[ofPolicy])
}

interface Found { readonly short: Shortfall; readonly path: string }
const foundIn = new WeakMap<ApiObject, readonly Problem[]>()

/** What an object asks for and Kith's sidecar does not do; told once for each reason. */
export function unservedFields(object: ApiObject): readonly Problem[] {
  const { kind } = object
  if (!fieldKinds.has(kind)) return []
  const known = foundIn.get(object)
  if (known !== undefined) return known
  const found: Found[] = []
  walk(object.spec, '', '', (pattern, path, value) => {
    const short = servingOf(kind, pattern)
    if (pattern.endsWith('tls.credentialName') && isRecord(object.spec) && object.spec['workloadSelector'] !== undefined) return
    if (typeof short === 'object' && short.when?.(value) !== false && !found.some((f) => f.short.instead === short.instead)) found.push({ short, path })
  })
  const problems = found.map(({ short, path }): Problem => ({
    code: 'KITH0110', severity: 'warning', ref: refTo(object, `spec.${path}`), message: `${path.slice(path.lastIndexOf('.') + 1)} is not served by ${short.by === 'envoy' ? 'Kith’s own sidecar (an Envoy would)' : 'this mesh'}: ${short.instead}`, ...(short.help === undefined ? {} : { help: short.help }),
  }))
  const all = kind === 'Sidecar' ? [...unservedListeners(object as Sidecar), ...problems] : problems
  foundIn.set(object, all)
  return all
}

/** A Sidecar's listeners are reached by redirection, and by nothing else. */
function unservedListeners(sidecar: Sidecar): readonly Problem[] {
  const say = (path: string, what: string, help: string): Problem => ({ code: 'KITH0110', severity: 'warning', ref: refTo(sidecar, path), message: `${what} is not served by this mesh`, help })
  const { ingress = [], egress = [], outboundTrafficPolicy } = sidecar.spec
  const listeners = [...ingress.map((l, i) => ({ l, path: `spec.ingress[${i}]` })), ...egress.map((l, i) => ({ l, path: `spec.egress[${i}]` }))]
  return [
    ...listeners.flatMap(({ l, path }) => [
      ...(l.captureMode === 'NONE' ? [say(`${path}.captureMode`, 'captureMode NONE: no port is opened, and what is redirected still arrives', 'leave the redirection to the pod’s rules, or use explicit mode')] : []),
      ...(l.bind !== undefined && l.bind !== '' && l.bind !== '0.0.0.0' && l.bind !== '::' ? [say(`${path}.bind`, 'bind: the listener takes what is redirected, whatever its address', 'leave it out')] : []),
    ]),
    ...ingress.flatMap((l, i) => [
      ...((l.defaultEndpoint ?? '').startsWith('unix://') ? [say(`spec.ingress[${i}].defaultEndpoint`, 'a unix socket: the call goes to the pod’s own address', 'let the application listen on 127.0.0.1')] : []),
      ...(l.tls !== undefined && (l.tls.serverCertificate === undefined || l.tls.privateKey === undefined) ? [say(`spec.ingress[${i}].tls`, 'TLS without files', 'name serverCertificate and privateKey')] : []),
    ]),
    ...(outboundTrafficPolicy?.egressProxy === undefined ? [] : [say('spec.outboundTrafficPolicy.egressProxy', 'egressProxy: what the mesh does not know goes straight to where it was meant for', 'call the proxy itself')]),
  ]
}

function walk(value: unknown, pattern: string, path: string, leaf: (pattern: string, path: string, value: unknown) => void): void {
  if (value === null || typeof value !== 'object') return leaf(pattern, path, value)
  if (Array.isArray(value)) return value.forEach((item, i) => walk(item, `${pattern}[]`, `${path}[${i}]`, leaf))
  for (const [key, own] of Object.entries(value)) {
    const dot = pattern === '' ? '' : '.'
    if (isMap(pattern)) walk(own, `${pattern}{}`, `${path}${dot}${key}`, leaf)
    else walk(own, `${pattern}${dot}${key}`, `${path}${dot}${key}`, leaf)
  }
}

/** Whose keys are the user's own, and no fields. */
const maps = new Set(['headers', 'withoutHeaders', 'queryParams', 'sourceLabels', 'labels', 'matchLabels', 'set', 'add', 'to'])
/** `headers` of a match is a map; of a route it is an object with two sides. */
function isMap(pattern: string): boolean {
  const name = pattern.slice(pattern.lastIndexOf('.') + 1)
  return maps.has(name) && !(name === 'headers' && !pattern.endsWith('match[].headers'))
}
