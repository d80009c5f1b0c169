// The lines of field-docs.ts for networking.istio.io: the rules of routing, of what follows it, and of hosts outside.
export const networkingDocs = `
exportTo | The namespaces that see it: names, . for the own one, * for all (the default).
workloadSelector | The workloads that this is for.
workloadSelector.matchLabels | Labels that a workload must carry, all of them. No wildcards.
workloadSelector.labels | Labels that a workload must carry, all of them. No wildcards.
DestinationRule.host | The service: a name in the own namespace, or a full one. A wildcard may stand first.
DestinationRule.trafficPolicy | How the service is called, whichever subset and port.
DestinationRule.subsets | Named parts of the service's endpoints, which routes may choose.
subsets.name | The name by which a VirtualService chooses it.
subsets.labels | Labels of the endpoints that belong to it.
subsets.trafficPolicy | How this part is called; what it names replaces the general policy.
portLevelSettings | Policies by port. A port's policy replaces the general one whole: what it leaves out is not taken from there.
portLevelSettings.port | The Service's port.
port.number | Its number.
trafficPolicy.tls | TLS of the connections that the client's sidecar opens. Left out: mutual TLS by itself, where the endpoint takes it.
portLevelSettings.tls | TLS of the connections to this port.
tls.mode | DISABLE: plaintext. SIMPLE: TLS without a certificate of one's own. MUTUAL: with the files named here. ISTIO_MUTUAL: with the mesh's own identities.
tls.clientCertificate | For MUTUAL: file of the own certificate chain.
tls.privateKey | For MUTUAL: file of its key.
tls.caCertificates | File of the certificates that the server's must chain to. Left out: the system's.
tls.caCrl | File of revoked certificates.
tls.credentialName | Name of a Secret with certificate, key and CA, instead of files.
tls.subjectAltNames | Names of which the server's certificate must have one.
tls.sni | The name that the client asks for.
tls.insecureSkipVerify | true: any certificate is taken. Then TLS tells the client nothing about whom it speaks to.
loadBalancer | Which endpoint a request goes to.
loadBalancer.simple | LEAST_REQUEST (the default), ROUND_ROBIN, RANDOM, PASSTHROUGH: the address that the caller chose.
loadBalancer.consistentHash | The same endpoint for the same key, as long as the endpoints stay.
consistentHash.httpHeaderName | The key is this header.
consistentHash.httpCookie | The key is this cookie, which is made where it is missing.
httpCookie.name | Name of the cookie.
httpCookie.path | Path of a cookie that is made.
httpCookie.ttl | Lifetime of a cookie that is made; 0s: until the browser closes.
httpCookie.attributes | Further attributes of a cookie that is made.
attributes.name | Name of the attribute.
attributes.value | Its value.
consistentHash.useSourceIp | The key is the caller's address.
consistentHash.httpQueryParameterName | The key is this query parameter.
consistentHash.ringHash | Hash by a ring.
consistentHash.maglev | Hash by a Maglev table.
consistentHash.minimumRingSize | Least number of points on the ring (older spelling).
ringHash.minimumRingSize | Least number of points on the ring.
maglev.tableSize | Size of the table; a prime.
localityLbSetting | Which localities come first, in place of the mesh's setting.
zoneAwareLbSetting | Balancing that keeps to the own zone.
localityLbSetting.enabled | Whether localities count.
zoneAwareLbSetting.enabled | Whether zones count.
zoneAwareLbSetting.minClusterSize | With fewer endpoints, zones do not count.
localityLbSetting.distribute | Shares of the localities, by the caller's.
distribute.from | The caller's locality: region/zone/subzone; * stands for any.
distribute.to | By locality: its share, in percent; they add up to 100.
failover | Which region takes over where another has no healthy endpoints.
failover.from | The region that fails.
failover.to | The region that takes over.
failoverPriority | Labels in order of weight: endpoints that share more of the first ones with the caller come first.
warmupDurationSecs | How long a new endpoint gets less than its share (older spelling of warmup).
warmup | A new endpoint gets less than its share at first.
warmup.duration | For how long.
warmup.minimumPercent | The share that it begins with, in percent.
warmup.aggression | How steeply it grows; 1 is a straight line.
connectionPool | Limits of connections and requests.
inboundConnectionPool | Limits of connections and requests that come in.
connectionPool.tcp | Of connections.
connectionPool.http | Of HTTP requests.
inboundConnectionPool.tcp | Of connections.
inboundConnectionPool.http | Of HTTP requests.
tcp.maxConnections | Most connections to the service.
tcp.connectTimeout | How long connecting may take. Default 10s.
tcp.idleTimeout | A connection on which nothing moves for so long is closed; 0s: never.
tcp.maxConnectionDuration | A connection is closed after so long.
tcp.tcpKeepalive | The kernel asks idle peers whether they are still there.
tcpKeepalive.probes | Questions without an answer until the connection counts as dead.
tcpKeepalive.time | Idle for so long before the first question.
tcpKeepalive.interval | Between two questions.
http.http1MaxPendingRequests | Most requests that wait for a connection.
http.http2MaxRequests | Most requests at a time.
http.maxRequestsPerConnection | A connection is closed after so many; 0: never.
http.maxRetries | Most retries at a time.
http.idleTimeout | A connection without requests for so long is closed.
http.h2UpgradePolicy | Whether HTTP/1.1 goes on as HTTP/2.
http.useClientProtocol | Upstream the same HTTP as the caller's.
http.maxConcurrentStreams | Most streams of an HTTP/2 connection.
http.http2KeepAlive | Pings on HTTP/2 connections.
http2KeepAlive.interval | Between two pings.
http2KeepAlive.timeout | A ping must be answered within this.
outlierDetection | Endpoints that fail are left out for a while.
outlierDetection.consecutiveErrors | Has no effect any more: consecutive5xxErrors and consecutiveGatewayErrors.
outlierDetection.consecutive5xxErrors | So many 5xx answers in a row eject the endpoint; 0: never.
outlierDetection.consecutiveGatewayErrors | So many 502, 503, 504 in a row eject it; 0: never.
outlierDetection.splitExternalLocalOriginErrors | Whether failures to connect count apart from answers.
outlierDetection.consecutiveLocalOriginFailures | So many failures to connect in a row eject it.
outlierDetection.interval | Between two looks.
outlierDetection.baseEjectionTime | How long the first ejection lasts; each further one lasts longer.
outlierDetection.maxEjectionPercent | At most so many percent of the endpoints are ejected.
outlierDetection.minHealthPercent | With fewer percent healthy, nobody is ejected.
outlierDetection.outlierDetectionHttpErrorCodes | Statuses that count as failures.
tunnel | Connections go through an HTTP proxy.
tunnel.protocol | CONNECT (the default) or POST.
tunnel.targetHost | Where the proxy shall connect to.
tunnel.targetPort | Its port.
proxyProtocol | The caller's address is told in front of the connection (PROXY protocol).
proxyProtocol.version | V1 or V2.
retryBudget | Retries are limited by the number of requests under way.
retryBudget.percent | Retries at a time, in percent of the requests.
retryBudget.minRetryConcurrency | So many are always allowed.
retryBudget.budgetInterval | Over which time requests are counted.
VirtualService.hosts | The names that callers use: short ones of the own namespace, full ones, wildcards.
VirtualService.gateways | Where the routes hold: gateways by name; mesh (the default) for sidecars.
VirtualService.http | Routes of HTTP requests, in order: the first that matches is taken.
VirtualService.tls | Routes of TLS connections that are not ended here, by the name that the client asks for.
VirtualService.tcp | Routes of other connections.
http.name | Name of the route, for logs and metrics.
http.match | Conditions, one of which must hold; none: every request.
tls.match | Conditions, one of which must hold.
tcp.match | Conditions, one of which must hold; none: every connection.
match.name | Name of the condition, for logs.
match.uri | The path, with its query left out.
match.scheme | http or https.
match.method | The method.
match.authority | The host that is asked for.
match.headers | Headers by name, in lower case; an empty condition: the header is there.
match.withoutHeaders | Headers that must not match.
match.queryParams | Query parameters by name.
match.ignoreUriCase | Whether case in uri does not matter.
match.port | The port that the caller connects to.
match.sourceLabels | Labels of the caller.
match.sourceNamespace | Namespace of the caller.
match.gateways | Where this condition counts.
match.statPrefix | Prefix of statistics.
match.sniHosts | Names that the client asks for in TLS.
match.destinationSubnets | Addresses that the caller connects to.
match.sourceSubnet | Addresses of the caller.
exact | Equal to this.
prefix | Begins with this.
regex | Matches this whole, in RE2's syntax.
http.route | Where the request goes: one destination, or several by weight.
tls.route | Where the connection goes.
tcp.route | Where the connection goes.
route.destination | The service that is called.
mirrors.destination | The service that gets the copy.
destination.host | The service: a name in the own namespace of this object, or a full one.
destination.subset | A subset of its DestinationRule.
destination.port | Its port, where it has several.
route.weight | Its share, relative to the sum of all.
route.headers | Changes of headers for this destination.
http.headers | Changes of headers for all destinations.
headers.request | Before the request goes on.
headers.response | Before the answer goes back.
request.set | Headers that get this value.
request.add | Headers that get this value besides what they have.
request.remove | Headers that are taken away.
response.set | Headers that get this value.
response.add | Headers that get this value besides what they have.
response.remove | Headers that are taken away.
http.redirect | The request is answered with a redirect.
redirect.uri | Path of the new address.
redirect.prefixRewrite | What takes the place of the matched prefix.
redirect.authority | Host of the new address.
redirect.port | Port of the new address.
redirect.derivePort | FROM_PROTOCOL_DEFAULT, or FROM_REQUEST_PORT.
redirect.scheme | Scheme of the new address.
redirect.redirectCode | 301 (the default), 302, 303, 307 or 308.
http.directResponse | The request is answered here.
directResponse.status | Status of the answer.
directResponse.body | Body of the answer.
body.string | As text.
body.bytes | As Base64.
http.delegate | Another VirtualService has the routes.
delegate.name | Its name.
delegate.namespace | Its namespace; default: the own one.
http.rewrite | Path or host is changed before the request goes on.
rewrite.uri | What takes the place of the matched path or prefix.
rewrite.authority | The new host.
rewrite.uriRegexRewrite | The path is changed by a regular expression.
uriRegexRewrite.match | The expression, in RE2's syntax.
uriRegexRewrite.rewrite | What takes the place of the match; \\1 for its first group.
http.timeout | How long the answer may take, retries included. Default: no limit.
http.retries | What is tried again.
retries.attempts | How often, after the first time; 0: never.
retries.perTryTimeout | How long each try may take.
retries.retryOn | For which failures, parted by commas, such as 5xx,connect-failure.
retries.retryRemoteLocalities | Whether other localities are tried too.
retries.retryIgnorePreviousHosts | Whether endpoints that failed are left out; default true.
retries.backoff | Waiting time before the first retry; it grows.
http.fault | Failures on purpose.
fault.delay | The request waits.
delay.percent | Of so many percent (older spelling of percentage).
delay.fixedDelay | For so long.
delay.exponentialDelay | Has no effect.
fault.abort | The request is answered with a failure.
abort.httpStatus | With this status.
abort.grpcStatus | With this gRPC status, such as UNAVAILABLE.
abort.http2Error | Is not supported.
delay.percentage | Of how many requests; default all.
abort.percentage | Of how many requests; default all.
percentage.value | In percent, 0 to 100.
http.mirror | A copy of the request goes to this service; its answer is thrown away.
http.mirrors | Copies of the request go to these services; their answers are thrown away.
mirrors.percentage | Of how many requests.
http.mirrorPercentage | Of how many requests; default all.
mirrorPercentage.value | In percent, 0 to 100.
http.mirrorPercent | The same in whole percent (older spelling).
http.mirror_percent | The same in whole percent (older spelling).
mirror.host | The service.
mirror.subset | A subset of its DestinationRule.
mirror.port | Its port.
http.corsPolicy | What browsers may do from pages of other origins.
corsPolicy.allowOrigin | Origins, exactly (older spelling of allowOrigins).
corsPolicy.allowOrigins | Origins that may.
corsPolicy.allowMethods | Methods that they may use.
corsPolicy.allowHeaders | Headers that they may send.
corsPolicy.exposeHeaders | Headers that they may see.
corsPolicy.maxAge | How long a browser may remember this.
corsPolicy.allowCredentials | Whether cookies and the like may be sent.
corsPolicy.unmatchedPreflights | Preflights of other origins: FORWARD to the application, or IGNORE.
ServiceEntry.hosts | The names that callers use; a wildcard may stand first.
ServiceEntry.addresses | Virtual addresses or ranges of the service.
ServiceEntry.ports | Its ports.
ports.number | The port that callers use.
ports.protocol | HTTP, HTTPS, HTTP2, GRPC, TLS, TCP …
ports.name | Name of the port.
ports.targetPort | The port where endpoints answer; default: number.
ServiceEntry.location | MESH_EXTERNAL: outside, no mutual TLS by itself. MESH_INTERNAL: part of the mesh.
ServiceEntry.resolution | How addresses are found: NONE (the caller's own), STATIC (endpoints), DNS, DNS_ROUND_ROBIN, DYNAMIC_DNS.
ServiceEntry.endpoints | Who answers.
ServiceEntry.subjectAltNames | Identities of which the endpoints' certificates must have one.
ServiceEntry.workloadSelector | Pods and WorkloadEntries that answer; instead of endpoints.
endpoints.address | Its address: an IP, a name, or unix:// and a path.
endpoints.ports | By name of the ServiceEntry's port: the port where this endpoint answers.
endpoints.labels | Labels of the endpoint.
endpoints.network | Network that it is in.
endpoints.locality | region/zone/subzone.
endpoints.weight | Its share, relative to the others.
endpoints.serviceAccount | Service account that it proves to be.
WorkloadEntry.address | Its address: an IP, a name, or unix:// and a path.
WorkloadEntry.ports | By name of the service's port: the port where it answers.
WorkloadEntry.labels | Labels by which services select it.
WorkloadEntry.network | Network that it is in.
WorkloadEntry.locality | region/zone/subzone.
WorkloadEntry.weight | Its share, relative to the others.
WorkloadEntry.serviceAccount | Service account that it proves to be.
Sidecar.egress | What the workload may call, by port; without a port: everything else.
egress.hosts | NAMESPACE/HOST: which services it knows; . is the own namespace, * any.
egress.port | The port that the sidecar listens on.
egress.bind | The address that it listens on.
Sidecar.ingress | Ports that come in, in place of those that Services name.
ingress.port | The port that comes in.
ingress.bind | The address that it listens on.
ingress.defaultEndpoint | Where it goes: 127.0.0.1:PORT, 0.0.0.0:PORT or a unix:// socket.
captureMode | IPTABLES: redirected by the kernel. NONE: the application calls the port itself.
Sidecar.outboundTrafficPolicy | What happens to hosts that the mesh does not know.
outboundTrafficPolicy.mode | ALLOW_ANY: passed through. REGISTRY_ONLY: refused.
Gateway.selector | Labels of the pods that open these ports.
Gateway.servers | The ports, and the hosts behind them.
configPatches | Changes, in order.
configPatches.applyTo | Which part of the configuration.
configPatches.match | Which of them; none: all.
configPatches.patch | What is changed.
patch.operation | How: MERGE, ADD, REMOVE, INSERT_BEFORE, INSERT_AFTER, INSERT_FIRST, REPLACE.
patch.value | The change, as Envoy's configuration.
ProxyConfig.concurrency | Worker threads of a proxy; 0: one a core.
ProxyConfig.environmentVariables | Environment of the proxy.
ProxyConfig.image | Which image the proxy has.
Telemetry.tracing | Traces.
Telemetry.metrics | Metrics.
Telemetry.accessLogging | Access logs.
`
