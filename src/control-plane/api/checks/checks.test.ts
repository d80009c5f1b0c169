// What fields mean together: each row is a spec and the fields that are wrong in it; none where it is right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { load } from 'js-yaml'
import { read } from '../decode.ts'

function wrong(kind: string, spec: string): string[] {
  const group = kind === 'PeerAuthentication' || kind === 'AuthorizationPolicy' || kind === 'RequestAuthentication' ? 'security' : kind === 'Telemetry' ? 'telemetry' : 'networking'
  const raw = load(`apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: {name: x, namespace: foo}\nspec: ${spec}\n`)
  const { faults, findings } = read(raw, {})
  return [...faults.map((f) => f.path), ...findings.filter((f) => f.severity === 'error').map((f) => f.ref.path)]
}

const route = 'route: [{destination: {host: a}}]'
/** Every field that takes a regular expression: one of 20 characters that compiles to thousands of instructions. */
const costly = '(a{1,100}){1,10}b{1,900}'
const costlyFields: readonly (readonly [string, string])[] = [
  ...['uri', 'scheme', 'method', 'authority'].map((f) => [`match: [{${f}: {regex: "${costly}"}}], ${route}`, `spec.http[0].match[0].${f}${f === 'uri' ? '.regex' : ''}`] as const),
  ...['headers', 'withoutHeaders', 'queryParams'].map((f) => [`match: [{${f}: {q: {regex: "${costly}"}}}], ${route}`, `spec.http[0].match[0].${f}.q`] as const),
  [`corsPolicy: {allowOrigins: [{regex: "${costly}"}]}, ${route}`, 'spec.http[0].corsPolicy.allowOrigins[0].regex'],
  [`rewrite: {uriRegexRewrite: {match: "${costly}", rewrite: a}}, ${route}`, 'spec.http[0].rewrite.uriRegexRewrite.match'],
]
const cases: Readonly<Record<string, readonly (readonly [string, ...string[]])[]>> = {
  PeerAuthentication: [
    ['{mtls: {mode: STRICT}}'],
    ['{selector: {matchLabels: {app: a}}, portLevelMtls: {8080: {mode: DISABLE}}}'],
    ['{portLevelMtls: {8080: {mode: DISABLE}}}', 'spec.portLevelMtls'],
    ['{selector: {matchLabels: {app: a}}, portLevelMtls: {70000: {}}}', 'spec.portLevelMtls.70000'],
    ['{selector: {matchLabels: {app: a}}, portLevelMtls: {}}', 'spec.portLevelMtls'],
  ],
  AuthorizationPolicy: [
    ['{}'],
    ['{rules: [{}]}'],
    ['{action: DENY}', 'spec.rules'],
    ['{action: CUSTOM, rules: [{}]}', 'spec.provider.name'],
    ['{provider: {name: a}, rules: [{}]}', 'spec.provider'],
    ['{rules: [{from: []}]}'],
    ['{action: DENY, rules: []}', 'spec.rules'],
    ['{rules: [{from: null}]}', 'spec.rules[0].from'],
    ['{rules: [{from: [{source: {trustDomains: [td, "*.td", "td*"]}}], when: [{key: source.trustDomain, values: ["*"]}]}]}'],
    ['{rules: [{from: [{source: {trustDomains: [a/b]}}]}]}', 'spec.rules[0].from[0].source.trustDomains[0]'],
    ['{rules: [{from: [{source: {trustDomains: ["a*b"]}}]}]}', 'spec.rules[0].from[0].source.trustDomains[0]'],
    ['{rules: [{from: [{source: {serviceAccounts: ["a*"]}}]}]}', 'spec.rules[0].from[0].source.serviceAccounts[0]'],
    ['{rules: [{to: [{operation: {paths: ["/a//{*}"]}}]}]}', 'spec.rules[0].to[0].operation.paths[0]'],
    ['{rules: [{from: [{source: {ipBlocks: [1.2.3.4.5]}}]}]}', 'spec.rules[0].from[0].source.ipBlocks[0]'],
    ['{rules: [{to: [{operation: {ports: ["65536"]}}]}]}', 'spec.rules[0].to[0].operation.ports[0]'],
    ['{rules: [{to: [{operation: {paths: ["/{**}/{*}"]}}]}]}', 'spec.rules[0].to[0].operation.paths[0]'],
    ['{rules: [{when: [{key: request.headers, values: [a]}]}]}', 'spec.rules[0].when[0].values', 'spec.rules[0].when[0].notValues'],
    ['{rules: [{when: [{key: nobody.knows, values: [a]}]}]}', 'spec.rules[0].when[0].values', 'spec.rules[0].when[0].notValues'],
    ['{rules: [{from: [{source: {serviceAccounts: [a, b/c]}}], to: [{operation: {ports: ["0"]}}]}]}'],
    ['{rules: [{from: [{source: {serviceAccounts: [a/b/c]}}]}]}', 'spec.rules[0].from[0].source.serviceAccounts[0]'],
    ['{selector: {matchLabels: {app: a}}, targetRefs: [{kind: Service, name: a}]}', 'spec'],
  ],
  DestinationRule: [
    ['{host: "*.example.com", trafficPolicy: {tls: {mode: SIMPLE, sni: a}}}'],
    ['{host: a.*.com}', 'spec.host'],
    ['{host: a, trafficPolicy: {}}', 'spec.trafficPolicy'],
    ['{host: a, trafficPolicy: {tls: {mode: MUTUAL, privateKey: /k}}}', 'spec.trafficPolicy.tls.clientCertificate'],
    ['{host: a, trafficPolicy: {tls: {mode: SIMPLE, credentialName: c, caCertificates: /c}}}', 'spec.trafficPolicy.tls.caCertificates'],
    ['{host: a, trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}}', 'spec.trafficPolicy.outlierDetection.maxEjectionPercent'],
    ['{host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}}}', 'spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize'],
    ['{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 60}}]}}}}', 'spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to'],
    ['{host: a, exportTo: [., foo]}', 'spec.exportTo[1]'],
    ['{host: a, trafficPolicy: {portLevelSettings: []}}', 'spec.trafficPolicy'],
    ['{host: a, trafficPolicy: {connectionPool: {http: {http2KeepAlive: {interval: 3s}}}}}', 'spec.trafficPolicy.connectionPool.http.http2KeepAlive.timeout'],
    ['{host: a, trafficPolicy: {connectionPool: {tcp: {idleTimeout: 0s}}}}'],
    ['{host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 9223372037s}}}}', 'spec.trafficPolicy.connectionPool.tcp.connectTimeout'],
    ['{host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1.5ms, attributes: [{name: a}, {name: a}]}}}}}', 'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[1].name'],
    ['{host: a, trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {failoverPriority: [topology.kubernetes.io/zone]}}}}', 'spec.trafficPolicy.loadBalancer.zoneAwareLbSetting.failoverPriority[0]'],
    ['{host: a, trafficPolicy: {loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}}}', 'spec.trafficPolicy.loadBalancer.zoneAwareLbSetting'],
    ['{host: a, trafficPolicy: {retryBudget: {percent: 101}}}', 'spec.trafficPolicy.retryBudget.percent'],
    ['{host: a, subsets: [{name: v_1}]}', 'spec.subsets[0].name'],
  ],
  VirtualService: [
    [`{hosts: [a], http: [{${route}}]}`],
    [`{hosts: ["*"], gateways: [g], http: [{${route}}]}`],
    [`{hosts: ["*"], http: [{${route}}]}`, 'spec.hosts[0]'],
    [`{hosts: [a.com, "*.com"], http: [{${route}}]}`, 'spec.hosts[1]'],
    [`{gateways: [g], http: [{${route}}]}`, 'spec.gateways'],
    ['{hosts: [a], http: [{delegate: {name: d}, redirect: {uri: /x}}]}', 'spec.http[0].redirect'],
    ['{hosts: [a], http: [{redirect: {uri: /x, redirectCode: 200}}]}', 'spec.http[0].redirect.redirectCode'],
    ['{hosts: [a], http: [{redirect: {uri: /x, prefixRewrite: /y}}]}', 'spec.http[0].redirect.prefixRewrite'],
    ['{hosts: [a], http: [{match: [{uri: {exact: /a}}], redirect: {prefixRewrite: /y}}]}', 'spec.http[0].redirect.prefixRewrite'],
    [`{hosts: [a], http: [{match: [{headers: {":authority": {exact: a}, a.b: {exact: c}}}], corsPolicy: {allowMethods: ["*"], allowHeaders: [x.y]}, ${route}}]}`],
    [`{hosts: [a], gateways: [mesh, "a b"], http: [{${route}}]}`],
    [`{hosts: [a], http: [{headers: {request: {set: {x: "100%"}}}, ${route}}]}`, 'spec.http[0].headers.request.set.x'],
    [`{hosts: [a], http: [{headers: {request: {set: {x: "%START_TIME(%s)%"}}}, ${route}}]}`],
    [`{hosts: [a], http: [{headers: {request: {set: {x: '%A%%% %A(b\\)c)% %A(["b", "c"] ) %'}}}, ${route}}]}`],
    ...['%A(b):5%', '%A("b")%', '%A([b])%', '%A(b', '%A(b)'].map((value): [string, string] => [`{hosts: [a], http: [{headers: {request: {set: {x: '${value}'}}}, ${route}}]}`, 'spec.http[0].headers.request.set.x']),
    [`{hosts: [a], http: [{timeout: 1.0000000001s, ${route}}]}`],
    [`{hosts: [a], http: [{headers: {response: {set: {host: b}}}, ${route}}]}`, 'spec.http[0].headers.response.set.host'],
    [`{hosts: [a], http: [{match: [{uri: {regex: "a(?=b)"}}], ${route}}]}`, 'spec.http[0].match[0].uri.regex'],
    [`{hosts: [a], http: [{match: [{headers: {"x y": {exact: a}}}], ${route}}]}`, 'spec.http[0].match[0].headers.x y'],
    [`{hosts: [a], http: [{match: [{headers: {"@request.auth.claims.sub": {exact: a}}}], ${route}}]}`, 'spec.http[0].match[0].headers.@request.auth.claims.sub'],
    ...costlyFields.map(([field, path]): [string, string] => [`{hosts: [a], http: [{${field}}]}`, path]),
    [`{hosts: [a], http: [{match: [{queryParams: {q: {regex: '*'}}}], ${route}}]}`, 'spec.http[0].match[0].queryParams.q'],
    [`{hosts: [a], http: [{match: [{withoutHeaders: {q: {regex: '*'}}}], ${route}}]}`],
    [`{hosts: [a], http: [{retries: {attempts: 0, retryOn: reset}, ${route}}]}`, 'spec.http[0].retries.attempts'],
    [`{hosts: [a], http: [{retries: {attempts: 1, retryOn: "503,5xx"}, ${route}}]}`],
    [`{hosts: [a], http: [{rewrite: {authority: b}, headers: {request: {set: {host: c}}}, ${route}}]}`, 'spec.http[0].headers.request.set.host'],
    ['{hosts: [a.com], tls: [{match: [{sniHosts: [b.com]}], route: [{destination: {host: a}}]}]}', 'spec.tls[0].match[0].sniHosts[0]'],
    ['{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/33]}], route: [{destination: {host: a}}]}]}', 'spec.tcp[0].match[0].destinationSubnets[0]'],
  ],
  ServiceEntry: [
    ['{hosts: [a.com], resolution: DNS, ports: [{number: 443, name: https, protocol: TLS}]}'],
    ['{hosts: [a.com], resolution: STATIC, endpoints: [{address: b.com}]}', 'spec.endpoints[0].address'],
    ['{hosts: [a.com], resolution: DNS, addresses: [10.0.0.0/8]}', 'spec.addresses'],
    ['{hosts: ["*.com"], resolution: DNS}', 'spec.hosts[0]'],
    ['{hosts: ["*.com"], resolution: DYNAMIC_DNS, ports: [{number: 80, name: http, protocol: HTTP}]}'],
    ['{hosts: [a.com], resolution: DYNAMIC_DNS}', 'spec.hosts[0]'],
    ['{hosts: ["*.com"], resolution: DYNAMIC_DNS, ports: [{number: 80, name: tcp, protocol: TCP}]}', 'spec.ports[0].protocol'],
    ['{hosts: ["*.com"], resolution: DYNAMIC_DNS, addresses: [1.1.1.1]}', 'spec.addresses'],
    ['{hosts: [a.com, b.com], resolution: DNS, ports: [{number: 1, name: tcp, protocol: TCP}]}', 'spec.ports[0]'],
    ['{hosts: [a.com], resolution: DNS, endpoints: [{address: 1.1.1.1, ports: {nobody: 1}}], ports: [{number: 1, name: tcp}]}', 'spec.endpoints[0].ports.nobody'],
  ],
  RequestAuthentication: [
    ['{jwtRules: [{issuer: a, jwks: "{}"}]}', 'spec.jwtRules[0].jwks'],
    ['{jwtRules: [{issuer: a, jwks: \'{"keys": []}\'}]}'],
    ['{jwtRules: [{issuer: a, jwks: \'{"keys": [{"kty": "RSA", "e": "AQAB"}]}\'}]}', 'spec.jwtRules[0].jwks'],
    ['{jwtRules: [{issuer: a, jwksUri: "https://a.com:8443/keys"}]}'],
    ['{jwtRules: [{issuer: a, jwksUri: "https://a b"}]}', 'spec.jwtRules[0].jwksUri'],
    ['{jwtRules: [{issuer: a, jwksUri: "file:///a"}]}', 'spec.jwtRules[0].jwksUri'],
  ],
  Sidecar: [
    ['{ingress: [{port: {number: 443, protocol: TCP}, tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}}]}', 'spec.ingress[0].tls'],
    ['{egress: [{hosts: ["./*", istio-system/*]}]}'],
    ['{}', 'spec'],
    ['{egress: [{hosts: [a.com]}]}', 'spec.egress[0].hosts[0]'],
    ['{egress: [{hosts: ["./short"]}]}', 'spec.egress[0].hosts[0]'],
    ['{egress: [{port: {number: 80, protocol: NOBODY}, hosts: ["./*"]}]}', 'spec.egress[0].port.protocol'],
    ['{ingress: [{port: {number: 80}, defaultEndpoint: "127.0.0.1:http"}]}', 'spec.ingress[0].defaultEndpoint'],
    ['{outboundTrafficPolicy: {mode: REGISTRY_ONLY, egressProxy: {host: a.com, port: {number: 1}}}}', 'spec.outboundTrafficPolicy.egressProxy'],
  ],
  Gateway: [
    ['{servers: [{port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: SIMPLE, credentialName: c}, hosts: [a.com]}]}'],
    ['{}', 'spec.servers'],
    ['{servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.com]}]}', 'spec.servers[0].tls'],
    ['{servers: [{port: {number: 443, name: https, protocol: HTTPS}, tls: {mode: SIMPLE}, hosts: [a.com]}]}', 'spec.servers[0].tls.serverCertificate', 'spec.servers[0].tls.privateKey'],
    ['{servers: [{port: {number: 443, name: tls, protocol: TLS}, tls: {mode: PASSTHROUGH, serverCertificate: /c, privateKey: /k, tlsCertificates: [{privateKey: /k}]}, hosts: [a.com]}]}', 'spec.servers[0].tls.tlsCertificates'],
    ['{servers: [{port: {number: 80, name: http, protocol: HTTP}, tls: {mode: SIMPLE, credentialName: c}, hosts: [a.com]}]}', 'spec.servers[0].tls'],
  ],
  WorkloadGroup: [['{template: {}, probe: {httpGet: {port: 80}}}'], ['{}', 'spec.template'], ['{template: {}, probe: {}}', 'spec.probe'], ['{template: {}, probe: {grpc: {port: 1}}}', 'spec.probe.grpc'], ['{template: {}, probe: {httpGet: {port: 1, httpHeaders: [{name: a_b}]}}}', 'spec.probe.httpGet.httpHeaders[0].name']],
  Telemetry: [['{accessLogging: [{providers: [{name: envoy}]}]}'], ['{tracing: [{randomSamplingPercentage: 101}]}', 'spec.tracing[0].randomSamplingPercentage'], ['{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: ""}}}]}]}', 'spec.metrics[0].overrides[0].tagOverrides.a']],
}

for (const [kind, rows] of Object.entries(cases)) {
  test(`${kind}: right, or wrong at the field that is`, () => {
    for (const [spec, ...paths] of rows) {
      const found = wrong(kind, spec)
      // A condition's key is at fault for all of its values; the first of the paths given is enough.
      if (paths.length === 0) assert.deepEqual(found, [], spec)
      else assert.ok(found.length > 0 && found.every((p) => paths.includes(p)), `${spec}: ${found.join(', ')}`)
    }
  })
}

test('warnings: where Istio has them, and not where it drops them', () => {
  const warned = (kind: string, spec: string): string[] => {
    const group = kind === 'RequestAuthentication' || kind === 'AuthorizationPolicy' ? 'security' : 'networking'
    return read(load(`apiVersion: ${group}.istio.io/v1\nkind: ${kind}\nmetadata: {name: x, namespace: foo}\nspec: ${spec}\n`), {}).findings.filter((f) => f.severity === 'warning').map((f) => f.ref.path)
  }
  const failover = '{loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}}'
  assert.deepEqual(warned('DestinationRule', `{host: a, trafficPolicy: ${failover}}`), ['spec.trafficPolicy.loadBalancer.localityLbSetting'])
  assert.deepEqual(warned('DestinationRule', `{host: a, subsets: [{name: b, trafficPolicy: ${failover}}]}`), [])
  assert.deepEqual(warned('RequestAuthentication', '{jwtRules: [{issuer: a, jwks: \'{"keys": [{"kty": "oct", "k": "AyM1"}]}\'}]}'), ['spec.jwtRules[0].jwks'])
  assert.deepEqual(warned('ServiceEntry', '{hosts: ["*a.com"], resolution: DYNAMIC_DNS}'), [])
  assert.deepEqual(warned('ServiceEntry', '{hosts: ["*a.com"]}'), ['spec.hosts[0]'])
  assert.deepEqual(warned('VirtualService', '{hosts: [a], http: [{fault: {abort: {}}, route: [{destination: {host: a}}]}]}'), [])
  assert.deepEqual(warned('AuthorizationPolicy', '{action: DENY, rules: [{to: [{operation: {ports: [], methods: [GET]}}]}]}'), ['spec.rules[0]'])
})

test('matches that ask the same: what says nothing makes no difference', () => {
  const said = (...matches: string[]): string[] => read(load(`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: x}, spec: {hosts: [a], http: [${matches.map((m) => `{match: [${m}], ${route}}`).join(', ')}]}}`), {}).findings.map((f) => f.code)
  const first = '{uri: {exact: /a}, ignoreUriCase: true}'
  assert.deepEqual(said(first, '{name: n, uri: {exact: /a}, ignoreUriCase: true, port: 0, headers: {}, gateways: [], statPrefix: ""}'), ['IST0131', 'IST0130'])
  assert.deepEqual(said(first, '{uri: {exact: /a}}', '{uri: {exact: /a}, method: {}}'), [])
})
