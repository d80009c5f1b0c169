// What an API server must say to objects of the mesh's kinds, by our definitions alone: `refused` is part of its answer, undefined where it must take them.
// `webhook`: a definition can't say it; kith validate and the webhook do.

export interface CrdCase {
  readonly kind: string
  /** Flow YAML. */
  readonly spec: string
  readonly refused?: string
  readonly webhook?: true
}

const taken = (kind: string, spec: string): CrdCase => ({ kind, spec })
const refused = (kind: string, spec: string, by: string): CrdCase => ({ kind, spec, refused: by })
const webhook = (kind: string, spec: string): CrdCase => ({ kind, spec, webhook: true })

export const crdCases: readonly CrdCase[] = [
  taken('PeerAuthentication', '{}'),
  taken('PeerAuthentication', '{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}, portLevelMtls: {"8080": {mode: DISABLE}}}'),
  taken('PeerAuthentication', '{selector: {matchLabels: {app: a}}, portLevelMtls: {"65535": {}}}'),
  refused('PeerAuthentication', '{mtls: {mode: STRIKT}}', 'Unsupported value: "STRIKT"'),
  refused('PeerAuthentication', '{mtls: STRICT}', 'must be of type object'),
  refused('PeerAuthentication', '{mtls: {mod: STRICT}}', 'unknown field "spec.mtls.mod"'),
  refused('PeerAuthentication', '{portLevelMtls: {"8080": {mode: DISABLE}}}', 'portLevelMtls needs a selector'),
  refused('PeerAuthentication', '{selector: {}, portLevelMtls: {"8080": {mode: DISABLE}}}', 'portLevelMtls needs a selector'),
  refused('PeerAuthentication', '{selector: {matchLabels: {app: a}}, portLevelMtls: {}}', 'should have at least 1 properties'),
  refused('PeerAuthentication', '{selector: {matchLabels: {app: a}}, portLevelMtls: {"0": {mode: DISABLE}}}', 'a port must be a number from 1 to 65535'),
  refused('PeerAuthentication', '{selector: {matchLabels: {app: a}}, portLevelMtls: {"65536": {mode: DISABLE}}}', 'a port must be a number from 1 to 65535'),
  refused('PeerAuthentication', '{selector: {matchLabels: {app: a}}, portLevelMtls: {http: {mode: DISABLE}}}', 'portLevelMtls'),
  refused('PeerAuthentication', '{selector: {matchLabels: {app: "a*"}}}', 'a label to select by takes no wildcard'),
  refused('PeerAuthentication', '{selector: {matchLabels: {"a*": a}}}', 'a label to select by takes no wildcard'),
  refused('PeerAuthentication', '{selector: {matchLabels: {"": a}}}', 'a label to select by needs a key'),

  taken('AuthorizationPolicy', '{action: DENY, rules: [{from: [{source: {principals: [a]}}], to: [{operation: {methods: [GET], paths: ["/x*"]}}], when: [{key: source.ip, values: [10.0.0.1]}]}]}'),
  taken('AuthorizationPolicy', '{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}], rules: []}'),
  refused('AuthorizationPolicy', '{action: FORBID}', 'Unsupported value: "FORBID"'),
  refused('AuthorizationPolicy', '{rules: [{when: [{values: [a]}]}]}', 'rules[0].when[0].key'),
  refused('AuthorizationPolicy', '{rules: [{from: [{source: {serviceAccounts: [a], namespaces: [b]}}]}]}', 'serviceAccounts can’t stand beside namespaces or principals'),
  refused('AuthorizationPolicy', '{selector: {matchLabels: {a: b}}, targetRef: {kind: Gateway, name: g}}', 'only one of targetRef, targetRefs and selector may be set'),
  refused('AuthorizationPolicy', '{targetRef: {kind: Gateway, name: g, namespace: other}}', 'a reference to another namespace is not supported'),
  refused('AuthorizationPolicy', '{targetRef: {kind: Gateway}}', 'targetRef.name'),
  refused('AuthorizationPolicy', '{targetRef: {kind: Gateway, name: g, group: "Not.A.Group"}}', 'targetRef.group'),

  taken('RequestAuthentication', '{jwtRules: [{issuer: a, jwksUri: "https://example.com/jwks", fromHeaders: [{name: x-jwt, prefix: "Bearer "}]}]}'),
  refused('RequestAuthentication', '{jwtRules: [{issuer: a, jwksUri: "ftp://example.com/jwks"}]}', 'must be a URL with the scheme http or https'),
  refused('RequestAuthentication', '{jwtRules: [{issuer: a, jwksUri: "https://example.com/", jwks: "{}"}]}', 'only one of jwks and jwksUri may be set'),
  refused('RequestAuthentication', '{jwtRules: [{issuer: a, outputClaimToHeaders: [{header: "a b", claim: c}]}]}', 'outputClaimToHeaders[0].header'),
  refused('RequestAuthentication', '{jwtRules: [{issuer: a, timeout: 0s}]}', 'must be a duration of 1 ms or more'),

  taken('DestinationRule', '{host: a, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, connectionPool: {tcp: {connectTimeout: 1.5s, idleTimeout: 0s}}}, subsets: [{name: v1, labels: {version: v1}}]}'),
  taken('DestinationRule', '{host: a, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1m30s}}}, outlierDetection: {interval: 5s}, portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}]}}'),
  taken('DestinationRule', '{host: a, trafficPolicy: {outlierDetection: {consecutive5xxErrors: null, outlierDetectionHttpErrorCodes: [500, 503]}, retryBudget: {percent: 20, budgetInterval: 10s}, tls: {mode: SIMPLE, insecureSkipVerify: null}}}'),
  taken('DestinationRule', '{host: a, trafficPolicy: {loadBalancer: {zoneAwareLbSetting: {enabled: true, minClusterSize: 6}}}}'),
  refused('DestinationRule', '{host: a, trafficPolicy: {outlierDetection: {outlierDetectionHttpErrorCodes: [50]}}}', 'greater than or equal to 100'),
  refused('DestinationRule', '{trafficPolicy: {}}', 'spec.host'),
  refused('DestinationRule', '{host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}}', 'must be a duration of 1 ms or more'),
  refused('DestinationRule', '{host: a, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 10}}}}', 'must be of type string'),
  refused('DestinationRule', '{host: a, trafficPolicy: {connectionPool: {tcp: {idleTimeout: soon}}}}', 'idleTimeout'),
  refused('DestinationRule', '{host: a, trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}}', 'loadBalancer'),
  refused('DestinationRule', '{host: a, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, httpHeaderName: h}}}}', 'consistentHash'),
  refused('DestinationRule', '{host: a, trafficPolicy: {portLevelSettings: [{port: {number: -1}}]}}', 'number'),
  webhook('DestinationRule', '{host: a, trafficPolicy: {tls: {mode: MUTUAL}}}'),

  taken('VirtualService', '{hosts: [a], http: [{match: [{uri: {prefix: /a}, headers: {x: {exact: one}}}], route: [{destination: {host: a, port: {number: 80}}, weight: 100}], timeout: 5s, retries: {attempts: 3, perTryTimeout: 1s}}]}'),
  taken('VirtualService', '{hosts: [a], tcp: [{route: [{destination: {host: a}}]}], tls: [{match: [{sniHosts: [a]}], route: [{destination: {host: a}}]}]}'),
  refused('VirtualService', '{hosts: [a], http: [{match: [{uri: {prefix: /a, exact: /b}}], route: [{destination: {host: a}}]}]}', 'uri'),
  refused('VirtualService', '{hosts: [a], http: [{route: [{destination: {subset: v1}}]}]}', 'destination.host'),
  refused('VirtualService', '{hosts: [a], http: [{route: [{destination: {host: a}}], timeout: 10ns}]}', 'must be a duration of 1 ms or more'),
  refused('VirtualService', '{hosts: [a], http: [{fault: {abort: {httpStatus: 500, grpcStatus: INTERNAL}}, route: [{destination: {host: a}}]}]}', 'abort'),
  refused('VirtualService', '{hosts: [a], http: [{fault: {abort: {percent: 10, httpStatus: 500}}, route: [{destination: {host: a}}]}]}', 'unknown field "spec.http[0].fault.abort.percent"'),
  refused('VirtualService', '{hosts: [a], http: [{directResponse: {status: 200, body: {bytes: "no base64!"}}}]}', 'directResponse.body.bytes'),
  refused('VirtualService', '{hosts: [a], http: [{redirect: {port: 80, derivePort: FROM_REQUEST_PORT}}]}', 'redirect'),
  refused('VirtualService', '{hosts: a}', 'must be of type array'),
  refused('VirtualService', '{hosts: [a], http: [{directResponse: {body: {string: x}}}]}', 'directResponse.status'),
  webhook('VirtualService', '{hosts: [a]}'),

  taken('ServiceEntry', '{hosts: [example.com], ports: [{number: 443, name: https, protocol: TLS}], resolution: DNS, location: MESH_EXTERNAL}'),
  taken('ServiceEntry', '{hosts: [example.com], addresses: [10.0.0.0/8], ports: [{number: 443, name: https, protocol: TLS}], resolution: NONE}'),
  taken('ServiceEntry', '{hosts: [example.com], ports: [{number: 80, name: http}], resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 8080}}]}'),
  refused('ServiceEntry', '{ports: [{number: 443, name: https}]}', 'spec.hosts'),
  refused('ServiceEntry', '{hosts: []}', 'should have at least 1 items'),
  refused('ServiceEntry', '{hosts: ["*"]}', 'a host of a ServiceEntry can’t be *'),
  refused('ServiceEntry', '{hosts: [a.com], ports: [{number: 0, name: https}]}', 'a port must be in the range 1 to 65535'),
  refused('ServiceEntry', '{hosts: [a.com], ports: [{number: 80, name: p}, {number: 81, name: p}]}', 'Duplicate value'),
  refused('ServiceEntry', '{hosts: [a.com], ports: [{number: 80, name: p}, {number: 80, name: q}]}', 'no two ports may have one number'),
  refused('ServiceEntry', '{hosts: [a.com], resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}}', 'only one of workloadSelector and endpoints may be set'),
  refused('ServiceEntry', '{hosts: [a.com], addresses: [10.0.0.0/8], resolution: DNS}', 'an address range goes with resolution NONE or STATIC only'),
  refused('ServiceEntry', '{hosts: [a.com], endpoints: [{address: 10.0.0.1}]}', 'resolution NONE takes no endpoints'),
  refused('ServiceEntry', '{hosts: [a.com], resolution: DNS_ROUND_ROBIN, endpoints: [{address: a}, {address: b}]}', 'resolution DNS_ROUND_ROBIN takes one endpoint at most'),
  refused('ServiceEntry', '{hosts: [a.com], workloadSelector: {labels: {a: "b*"}}}', 'a label to select by takes no wildcard'),

  taken('WorkloadEntry', '{address: 10.0.0.1, ports: {http: 80}, labels: {app: a}, serviceAccount: sa}'),
  taken('WorkloadEntry', '{address: "unix:///run/a.sock"}'),
  taken('WorkloadEntry', '{network: net}'),
  refused('WorkloadEntry', '{labels: {a: b}}', 'an address is required (or a network)'),
  refused('WorkloadEntry', '{address: "unix://run/a.sock"}', 'a unix address must be an absolute path'),
  refused('WorkloadEntry', '{address: "unix:///run/"}', 'a unix address must name a file, not a folder'),
  refused('WorkloadEntry', '{address: "unix:///run/a", ports: {http: 80}}', 'a unix address takes no ports'),
  refused('WorkloadEntry', '{address: a, ports: {"a_b": 80}}', 'a port name has letters, digits and -'),
  refused('WorkloadEntry', '{address: a, ports: {http: 65536}}', 'a port must be in the range 1 to 65535'),

  taken('WorkloadGroup', '{template: {serviceAccount: sa}, probe: {httpGet: {port: 80}}}'),
  refused('WorkloadGroup', '{metadata: {labels: {a: b}}}', 'spec.template'),
  refused('WorkloadGroup', '{template: {}, probe: {periodSeconds: -1}}', 'must not be negative'),
  refused('WorkloadGroup', '{template: {}, probe: {httpGet: {port: 80}, tcpSocket: {port: 80}}}', 'probe'),

  taken('Sidecar', '{egress: [{hosts: ["./*"]}], outboundTrafficPolicy: {mode: REGISTRY_ONLY}}'),
  refused('Sidecar', '{egress: [{captureMode: NONE}]}', 'egress[0].hosts'),
  refused('Sidecar', '{outboundTrafficPolicy: {mode: ALLOW_SOME}}', 'Unsupported value: "ALLOW_SOME"'),

  taken('Gateway', '{selector: {istio: ingress}, servers: [{port: {number: 80, protocol: HTTP, name: http}, hosts: ["*"]}]}'),
  refused('Gateway', '{servers: [{port: {number: 80, name: http}, hosts: ["*"]}]}', 'port.protocol'),

  refused('Gateway', '{servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialName: a, credentialNames: [b]}}]}', 'only one of credentialName, credentialNames and tlsCertificates may be set'),
  refused('Gateway', '{servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: [a], tls: {mode: SIMPLE, credentialNames: [a, b, c]}}]}', 'must have at most 2 items'),

  taken('EnvoyFilter', '{workloadSelector: {labels: {a: b}}, configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND, listener: {portNumber: 80}}, patch: {operation: INSERT_BEFORE, value: {name: x, typed_config: {"@type": type.googleapis.com/udpa.type.v1.TypedStruct, any: [1]}}}}]}'),
  refused('EnvoyFilter', '{workloadSelector: {labels: {a: b}}, targetRefs: [{kind: Gateway, name: g}]}', 'only one of targetRefs and workloadSelector may be set'),

  refused('EnvoyFilter', '{configPatches: [{match: {context: GATEWAY, waypoint: {portNumber: 80}}}]}', 'waypoint goes with context WAYPOINT'),
  refused('EnvoyFilter', '{configPatches: [{match: {context: WAYPOINT, waypoint: {portNumber: 0}}}]}', 'a port must be in the range 1 to 65535'),
  refused('EnvoyFilter', '{configPatches: [{match: {listener: {portNumer: 80}}}]}', 'unknown field "spec.configPatches[0].match.listener.portNumer"'),

  taken('ProxyConfig', '{concurrency: 0, environmentVariables: {A: b}, image: {imageType: distroless}}'),
  refused('ProxyConfig', '{concurrency: -1}', 'must not be negative'),

  taken('Telemetry', '{metrics: [{providers: [{name: prometheus}], overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {a: {operation: UPSERT, value: b}, c: {operation: REMOVE}}}]}]}'),
  refused('Telemetry', '{tracing: [{randomSamplingPercentage: 101}]}', 'randomSamplingPercentage'),
  refused('Telemetry', '{metrics: [{overrides: [{tagOverrides: {a: {operation: REMOVE, value: b}}}]}]}', 'value may only be set where operation is UPSERT'),
  refused('Telemetry', '{metrics: [{overrides: [{tagOverrides: {a: {operation: UPSERT, value: ""}}}]}]}', 'value must be set where operation is UPSERT'),
]
