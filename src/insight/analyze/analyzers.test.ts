import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadAll } from 'js-yaml'
import type { MeshConfigSpec } from '#api'
import { analyze } from './analyze.ts'

const pod = (name: string, spec: string, meta = ''): string => `{apiVersion: v1, kind: Pod, metadata: {name: ${name}, namespace: foo${meta}}, spec: ${spec}}`
const deployment = (spec: string, { namespace = 'foo', template = '{}', meta = '' } = {}): string => `{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: ${namespace}${meta}}, spec: {template: {metadata: ${template}, spec: ${spec}}}}`
const namespace = (name: string, labels = 'istio-injection: enabled'): string => `{apiVersion: v1, kind: Namespace, metadata: {name: ${name}, labels: {${labels}}}}`
const service = (rest: string, name = 's'): string => `{apiVersion: v1, kind: Service, metadata: {name: ${name}, namespace: foo}, spec: {${rest}}}`
const telemetry = (name: string, spec: string, ns = 'foo'): string => `{apiVersion: telemetry.istio.io/v1, kind: Telemetry, metadata: {name: ${name}, namespace: ${ns}}, spec: ${spec}}`
const foreign = (exportTo: string, name = 'v'): string => `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: ${name}, namespace: legacy}, spec: {hosts: [s.foo.svc.cluster.local], exportTo: ${exportTo}, http: [{directResponse: {status: 418}}]}}`
const injectorMap = (values: string): string => `{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-sidecar-injector, namespace: istio-system}, data: {values: '${values}'}}`
const webhook = (name: string, hooks: string): string => `{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: ${name}}, webhooks: [${hooks}]}`
const hook = (name: string, selectors: string, to = 'istiod'): string => `{name: ${name}.istio.io, clientConfig: {service: {namespace: foo, name: ${to}}}, ${selectors}}`
const enabled = 'namespaceSelector: {matchLabels: {istio-injection: enabled}}'
const policy = (kind: string, spec: string): string => `{apiVersion: security.istio.io/v1, kind: ${kind}, metadata: {name: p, namespace: foo}, spec: ${spec}}`
const gateway = (name: string, selector: string, server: string): string => `{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: ${name}, namespace: foo}, spec: {selector: ${selector}, servers: [${server}]}}`
const envoyFilter = (patches: string): string => `{apiVersion: networking.istio.io/v1alpha3, kind: EnvoyFilter, metadata: {name: e, namespace: foo}, spec: {configPatches: [${patches}]}}`
const sidecar = (name: string, spec = '{egress: [{hosts: ["./*"]}]}'): string => `{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: ${name}, namespace: foo}, spec: ${spec}}`
const claims = '{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [a.com], gateways: [g], http: [{match: [{headers: {"@request.auth.claims.sub": {exact: a}}}], route: [{destination: {host: a}}]}]}}'
const to = '{destination: {host: a}}'
const proxy = '{containers: [{name: istio-proxy, image: auto}]}'
const gatewayPod = pod('gw', '{containers: [{name: istio-proxy, image: p}]}', ', labels: {app: gw, gateway.networking.k8s.io/gateway-name: shop}')

const caller = [namespace('foo'), deployment('{containers: [{name: a}]}', { template: '{labels: {app: a}}' })]
const entry = (ports: string): string => `{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: foo}, spec: {hosts: [api.example.com], resolution: DNS, ports: [${ports}]}}`
const tlsRule = (policy: string): string => `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: api.example.com, trafficPolicy: {${policy}}}}`
const job = (name: string, annotations = '', labels = ''): string => `{apiVersion: batch/v1, kind: Job, metadata: {name: ${name}, namespace: foo}, spec: {template: {metadata: {annotations: {${annotations}}, labels: {${labels}}}, spec: {restartPolicy: Never, containers: [{name: a}]}}}}`
const node = (version: string): string => `{apiVersion: v1, kind: Node, metadata: {name: n}, status: {nodeInfo: {kubeletVersion: ${version}}}}`

const said = (texts: readonly string[], codes: RegExp, meshConfig: MeshConfigSpec = {}): string[] => {
  const documents = (loadAll(texts.join('\n---\n')) as unknown[]).map((value) => ({ value, origin: { file: 'f.yaml' } }))
  return analyze(documents, { meshConfig }).messages.filter((m) => codes.test(m.code)).map((m) => `${m.severity} ${m.code} ${m.ref.kind} ${m.ref.name} ${m.ref.path}`).sort()
}

const cases: readonly (readonly [string, readonly string[], RegExp, readonly string[], MeshConfigSpec?])[] = [
  ['annotations that the injector refuses', [pod('p', '{}', ", annotations: {sidecar.istio.io/proxyCPU: much, status.sidecar.istio.io/port: '15020'}"), deployment('{}', { template: '{annotations: {traffic.sidecar.istio.io/excludeOutboundIPRanges: everything}}' })], /IST0125/,
    ['warning IST0125 Deployment d spec.template.metadata.annotations.traffic.sidecar.istio.io/excludeOutboundIPRanges', 'warning IST0125 Pod p metadata.annotations.sidecar.istio.io/proxyCPU']],
  ['the sidecar’s user', [pod('p', '{securityContext: {runAsUser: 1337}, containers: []}'), pod('q', '{containers: [{name: istio-proxy, securityContext: {runAsUser: 1337}}]}'), deployment('{containers: [{name: a}, {name: b, securityContext: {runAsUser: 1337}}]}')], /IST0144/,
    ['warning IST0144 Deployment d spec.template.spec.containers[1].securityContext.runAsUser', 'warning IST0144 Pod p spec.securityContext.runAsUser']],
  ...['SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'].flatMap((mode) => ['HTTPS', 'TLS'].map((protocol) => [`${protocol} on a port where a rule makes TLS: ${mode}`, [...caller, entry(`{number: 443, name: s, protocol: ${protocol}}`), tlsRule(`tls: {mode: ${mode}, clientCertificate: /a, privateKey: /b}`)], /KITH013[01]/,
    ['warning KITH0130 DestinationRule d spec.trafficPolicy.tls.mode']] as const)),
  ['TLS that is made by a rule for the port of HTTP alone', [...caller, entry('{number: 443, name: s, protocol: HTTPS}, {number: 80, name: h, protocol: HTTP, targetPort: 443}'), tlsRule('portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]')], /KITH013[01]/, []],
  ['a port 443 of HTTP, called as http://', [...caller, entry('{number: 443, name: h, protocol: HTTP}'), tlsRule('tls: {mode: SIMPLE}')], /KITH013[01]/, []],
  ['the mesh’s own mutual TLS around the application’s', [...caller, service('selector: {app: a}, ports: [{name: https, port: 443}]', 'api'), `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: api, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}}`], /KITH013[01]/, []],
  ['SIMPLE around the TLS of a service of the mesh', [...caller, service('selector: {app: a}, ports: [{name: https, port: 443}]', 'api'), `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: api, trafficPolicy: {tls: {mode: SIMPLE}}}}`], /KITH013[01]/, ['warning KITH0130 DestinationRule d spec.trafficPolicy.tls.mode']],
  ['a subset’s own TLS', [...caller, entry('{number: 443, name: s, protocol: HTTPS}'), `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: api.example.com, subsets: [{name: v, trafficPolicy: {tls: {mode: SIMPLE}}}]}}`], /KITH0130/, ['warning KITH0130 DestinationRule d spec.subsets[0].trafficPolicy.tls.mode']],
  ['a tls route to where a rule makes TLS', [...caller, entry('{number: 443, name: s, protocol: HTTPS}, {number: 80, name: h, protocol: HTTP, targetPort: 443}'), tlsRule('portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]'),
    '{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [api.example.com], tls: [{match: [{port: 443, sniHosts: [api.example.com]}], route: [{destination: {host: api.example.com, port: {number: 80}}}]}]}}'], /KITH013[01]/, ['warning KITH0130 VirtualService v spec.tls[0].route[0].destination']],
  ['TLS towards port 80', [...caller, entry('{number: 80, name: h, protocol: HTTP}'), tlsRule('tls: {mode: SIMPLE}')], /KITH013[01]/, ['info KITH0131 DestinationRule d spec.trafficPolicy.tls.mode']],
  ['Jobs with a sidecar that is no native one', [namespace('foo'), job('a'), job('b', 'sidecar.istio.io/nativeSidecar: "false"'), job('c', 'sidecar.istio.io/nativeSidecar: "true"'), job('d', '', 'sidecar.istio.io/inject: "false"')], /KITH0132/, ['info KITH0132 Job a spec.template.metadata', 'warning KITH0132 Job b spec.template.metadata']],
  ['Jobs where the kubelets are known', [namespace('foo'), job('a'), node('v1.33.1')], /KITH0132/, []], ['Jobs where one kubelet is older', [namespace('foo'), job('a'), node('v1.32.9')], /KITH0132/, ['warning KITH0132 Job a spec.template.metadata']],
  ['a Job’s pod that runs', [namespace('foo'), `{apiVersion: v1, kind: Pod, metadata: {name: j-1, namespace: foo, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: j, controller: true, uid: u}]}, spec: {containers: [{name: a}, {name: istio-proxy, image: p}]}, status: {phase: Running}}`], /KITH0132/, ['warning KITH0132 Pod j-1 spec.containers']],
  ['the control plane may', [deployment('{securityContext: {runAsUser: 1337}}', { meta: ', labels: {release: istio}' })], /IST0144/, []],
  ['image: auto in a pod', [namespace('foo'), pod('p', proxy)], /IST014[67]/, ['error IST0147 Pod p spec.containers[0].image']],
  ['image: auto in a template that is injected', [namespace('foo'), deployment(proxy)], /IST014[67]/, []],
  ['image: auto in a template that is not', [namespace('foo', 'a: b'), deployment(proxy)], /IST014[67]/, ['warning IST0146 Deployment d spec.template.spec.containers[0].image']],
  ['image: auto by the webhooks that are there', [namespace('foo', 'team: x'), deployment(proxy), webhook('w', hook('a', 'namespaceSelector: {matchLabels: {team: x}}'))], /IST014[67]/, []],
  ['namespaces by default', [namespace('foo', 'a: b'), `{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-sidecar-injector, namespace: istio-system}, data: {values: '{"sidecarInjectorWebhook": {"enableNamespacesByDefault": true}}'}}`], /IST01(02|48)/, ['info IST0148 Namespace foo metadata.name']],
  ['ports of an ExternalName Service', [service('type: ExternalName, externalName: a.example.com, ports: [{name: tcp, port: 1}, {name: odd, port: 2}, {name: http, port: 3}, {name: tcp-x, port: 4}]')], /IST01(18|50)/, ['warning IST0150 Service s spec.ports[0]', 'warning IST0150 Service s spec.ports[1]']],
  ['access logging without a provider', [telemetry('t', '{accessLogging: [{providers: [{name: envoy}]}, {}, {disabled: true}]}')], /IST0157/, ['warning IST0157 Telemetry t spec.accessLogging[1]']],
  ['access logging by default', [telemetry('t', '{accessLogging: [{disabled: true}]}')], /IST0157/, [], { defaultProviders: { accessLogging: ['envoy'] } }],
  ['addresses that a controller gave', [`{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: foo}, spec: {hosts: [a.com], ports: [{number: 1, name: tcp, protocol: TCP}]}, status: {addresses: [{value: 240.240.0.1}]}}`], /IST0134/, []],
  ['a credential without a name', [`{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: a, workloadSelector: {matchLabels: {a: b}}, trafficPolicy: {tls: {mode: SIMPLE, credentialName: ''}}}}`], /IST0128/, ['warning IST0128 DestinationRule d spec.trafficPolicy.tls']],
  ['a sidecar without an image', [namespace('foo'), pod('p', '{containers: [{name: istio-proxy}]}'), `{apiVersion: v1, kind: ConfigMap, metadata: {name: istio-sidecar-injector, namespace: istio-system}, data: {values: '{"global": {"proxy": {"image": "a/b:1"}}}'}}`], /IST0158/, ['warning IST0158 Namespace foo ']],
  ['annotations that nobody reads any more', [pod('p', '{}', ', annotations: {install.operator.istio.io/version: a, sidecar.istio.io/statsCompression: a, traffic.istio.io/nodeSelector: a}')], /IST01(07|08|35)/,
    ['info IST0135 Pod p metadata.annotations.sidecar.istio.io/statsCompression', 'warning IST0107 Pod p metadata.annotations.traffic.istio.io/nodeSelector', 'warning IST0108 Pod p metadata.annotations.install.operator.istio.io/version']],
  ['a policy for a Service where there is no pod', [policy('AuthorizationPolicy', '{targetRefs: [{kind: Service, name: a}], rules: [{}]}')], /IST0127/, ['warning IST0127 AuthorizationPolicy p ']],
  ['Kubernetes’ own namespaces', [namespace('kube-system', 'a: b'), '{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: kube-system}, spec: {ports: [{port: 9, name: odd}]}}',
    '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: kube-system}, spec: {host: nobody}}', '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: dns.kube-system.svc.cluster.local}}'], /IST/, []],
  ['gateways that are Istio’s own affair', ['{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [a.com], gateways: [foo/g~istio-autogenerated-k8s-gateway~http], http: [{redirect: {uri: /}}]}}'], /IST01(01|32|65)/,
    ['warning IST0165 VirtualService v spec.gateways[0]']],
  ['telemetries’ selectors', [pod('p', '{}', ', labels: {app: a}'), telemetry('one', '{selector: {matchLabels: {app: a}}}'), telemetry('two', '{selector: {matchLabels: {app: a}}}'), telemetry('none', '{selector: {matchLabels: {app: b}}}'), telemetry('far', '{selector: {matchLabels: {app: a}}}', 'bar')], /IST01(01|59|60)/,
    ['error IST0101 Telemetry far spec.selector.matchLabels', 'error IST0101 Telemetry none spec.selector.matchLabels', 'error IST0159 Telemetry one spec.selector', 'error IST0159 Telemetry two spec.selector']],
  ['telemetries without a selector', [telemetry('one', '{}'), telemetry('two', '{}'), telemetry('empty', '{selector: {}}'), telemetry('else', '{}', 'bar')], /IST0160/, ['error IST0160 Telemetry one metadata.name', 'error IST0160 Telemetry two metadata.name']],
  ['selectors on a Kubernetes Gateway', [gatewayPod, policy('AuthorizationPolicy', '{selector: {matchLabels: {app: gw}}, rules: [{}]}'), policy('RequestAuthentication', '{selector: {matchLabels: {app: web}}}')], /IST0166/, ['warning IST0166 AuthorizationPolicy p spec.selector']],
  ['a Kubernetes Gateway by name', [gatewayPod, policy('AuthorizationPolicy', '{targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: shop}], rules: [{}]}')], /IST0166/, []],
  ['keys from anywhere', [policy('RequestAuthentication', '{jwtRules: [{issuer: a}]}'), deployment('{containers: [{name: discovery}]}', { meta: ', labels: {app: istiod}' })], /IST0175/, ['warning IST0175 Deployment d spec.template.spec']],
  ['keys from some', [policy('RequestAuthentication', '{jwtRules: [{issuer: a}]}'), deployment('{containers: [{name: discovery, env: [{name: BLOCKED_CIDRS_IN_JWKS_URIS, value: 10.0.0.0/8}]}]}', { meta: ', labels: {app: istiod}' })], /IST0175/, []],
  ['webhooks that overlap', [service('ports: []', 'istiod'), webhook('one', hook('a', enabled)), webhook('two', hook('b', enabled))], /IST0139/, ['error IST0139 MutatingWebhookConfiguration one webhooks[0]', 'error IST0139 MutatingWebhookConfiguration two webhooks[0]']],
  ['webhooks that do not', [service('ports: []', 'istiod'), webhook('one', hook('a', enabled)), webhook('two', hook('b', 'namespaceSelector: {matchLabels: {istio.io/rev: canary}, matchExpressions: [{key: istio-injection, operator: DoesNotExist}]}'))], /IST0139/, []],
  ['webhooks of another', [webhook('other', `{name: other.example.com, clientConfig: {service: {namespace: foo, name: gone}}, ${enabled}}`)], /IST0139/, []],
  ['webhooks that lead nowhere', [webhook('one', hook('a', enabled))], /IST0139/, ['error IST0139 MutatingWebhookConfiguration one webhooks[0].clientConfig.service']],
  ['security policies that are not carried out', [policy('RequestAuthentication', '{jwtRules: [{issuer: a}]}'), policy('AuthorizationPolicy', '{action: CUSTOM, provider: {name: p}, rules: [{}]}')], /KITH010[78]/, ['warning KITH0107 AuthorizationPolicy p spec.action']],
  ['labels of namespaces', [namespace('a', 'istio-injection: enabled, istio.io/dataplane-mode: ambient'), namespace('b', 'istio.io/rev: x, istio.io/dataplane-mode: ambient'), namespace('c', 'istio-injection: disabled, istio.io/rev: x'), namespace('d', 'istio.io/dataplane-mode: none'), namespace('e', 'istio.io/dataplane-mode: ambient')], /IST01(02|23)/,
    ['info IST0102 Namespace d metadata.name', 'warning IST0123 Namespace a metadata.labels.istio.io/dataplane-mode', 'warning IST0123 Namespace b metadata.labels.istio.io/rev']],
  ['the ingress gateway of the installation', [gateway('g', '{istio: ingressgateway}', '{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}')], /IST01(01|62)/, []],
  ['ports of a gateway', [gateway('g', '{istio: ingressgateway}', '{port: {number: 81, name: a, protocol: HTTP}, hosts: [a.com]}')], /IST0162/, ['warning IST0162 Gateway g spec.servers[0].port.number']],
  ['gateways that claim one host', ['a', 'b'].map((name) => gateway(name, '{istio: ingressgateway}', '{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}')), /IST0145/, ['error IST0145 Gateway a spec.servers[0]', 'error IST0145 Gateway b spec.servers[0]']],
  ['gateways with hosts of their own', ['a', 'b'].map((name) => gateway(name, '{istio: ingressgateway}', `{port: {number: 80, name: a, protocol: HTTP}, hosts: [${name}.com]}`)), /IST0145/, []],
  ['gateways of one certificate', ['a', 'b'].map((name) => gateway(name, '{istio: ingressgateway}', `{port: {number: 443, name: a, protocol: HTTPS}, hosts: [${name}.com], tls: {mode: SIMPLE, credentialName: c}}`)), /IST0138/, ['warning IST0138 Gateway a metadata.name', 'warning IST0138 Gateway b metadata.name']],
  ['a credential that is none', [gateway('g', '{istio: ingressgateway}', '{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c}}'), '{apiVersion: v1, kind: Secret, metadata: {name: c, namespace: istio-system}, stringData: {tls.crt: x, tls.key: y}}'], /IST01(01|61)/, ['error IST0161 Gateway g spec.servers[0].tls.credentialName']],
  ['claims without tokens', [gateway('g', '{istio: ingressgateway}', '{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}'), claims], /IST0149/, ['error IST0149 VirtualService v spec.http[0].match[0].headers.@request.auth.claims.sub']],
  ['claims of tokens', [gateway('g', '{istio: ingressgateway}', '{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}'), claims, '{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: {name: r, namespace: istio-system}, spec: {jwtRules: [{issuer: a}]}}'], /IST0149/, []],
  ['patches of EnvoyFilters', [envoyFilter('{applyTo: HTTP_ROUTE, patch: {operation: ADD, value: {}}}, {applyTo: HTTP_ROUTE, patch: {operation: REMOVE}}, {applyTo: CLUSTER, patch: {operation: REPLACE, value: {}}}, {applyTo: CLUSTER, patch: {operation: REMOVE}}, {applyTo: CLUSTER, patch: {operation: ADD, value: {}}}')], /IST015\d/,
    ['error IST0152 EnvoyFilter e spec.configPatches[2]', 'error IST0153 EnvoyFilter e spec.configPatches[0]', 'error IST0154 EnvoyFilter e spec.configPatches[1]', 'warning IST0151 EnvoyFilter e spec.configPatches[3]']],
  ['patches for versions', [envoyFilter('{applyTo: HTTP_FILTER, match: {proxy: {proxyVersion: ^1}}, patch: {operation: ADD, value: {name: a}}}, {applyTo: HTTP_FILTER, patch: {operation: INSERT_BEFORE, value: {name: a}}}')], /IST015\d/, ['warning IST0155 EnvoyFilter e spec.configPatches[1]']],
  ['sidecars of ambient workloads', [namespace('foo', 'istio.io/dataplane-mode: ambient'), sidecar('one'), sidecar('two')], /IST01(11|67)/, ['warning IST0167 Sidecar one metadata.namespace', 'warning IST0167 Sidecar two metadata.namespace']],
  ['a status that says no', ['{apiVersion: v1, kind: Service, metadata: {name: s, namespace: foo}, spec: {}, status: {conditions: [{type: istio.io/WaypointBound, status: "False", reason: r, message: m}, {type: Other, status: "False"}]}}'], /IST0171/, ['warning IST0171 Service s status']],
  ['what stands twice is judged once, as it stands last', [sidecar('one', '{egress: [{hosts: [bad]}]}'), sidecar('one')], /IST0106/, []],
  ['a subset finds a pod somewhere', [service('selector: {app: a}'), pod('other', '{}', ', labels: {app: b, version: v1}'), '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: s, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}}'], /IST0173/, ['error IST0173 DestinationRule d spec.subsets[1]']],
  ['a patch without a type', [envoyFilter('{applyTo: CLUSTER, patch: {operation: MERGE, value: {a: [{typed_config: {b: c}}]}}}')], /IST0106/, ['error IST0106 EnvoyFilter e spec.configPatches[0].patch.value.a[0].typed_config']],
  ['behind a route that takes everything', [`{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [a.com], http: [{route: [${to}]}, {match: [{uri: {prefix: /a}}, {uri: {prefix: /a}}, {uri: {prefix: /ab}}], route: [${to}]}]}}`], /IST013[01]/, ['warning IST0130 VirtualService v spec.http[1]']],
  ['a port without a number', [service('ports: [{name: http, port: 80}, {name: grpc, port: 81}]'), '{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v, namespace: foo}, spec: {hosts: [a.com], http: [{route: [{destination: {host: s, port: {}}}]}]}}'], /IST01(01|12)/, ['error IST0101 VirtualService v spec.http[0].route[0].destination.port.number']],
  ['a document of no kind', ['{a: b}', '{kind: b}'], /KITH0006/, ['info KITH0006 b  apiVersion']],
  ['a host of another namespace', [service('ports: [{name: http, port: 80}]'), foreign('["*"]'), foreign('["."]', 'own')], /KITH0120/, ['warning KITH0120 VirtualService v spec.hosts[0]']],
  ['a host of another namespace, refused', [service('ports: [{name: http, port: 80}]'), foreign('["*"]')], /KITH0120/, ['error KITH0120 VirtualService v spec.hosts[0]'], { compat: { foreignHosts: 'refuse' } }],
  ['Pod Security that refuses what is injected', [namespace('foo', 'istio-injection: enabled, pod-security.kubernetes.io/enforce: restricted'), namespace('bar', 'istio.io/rev: canary, pod-security.kubernetes.io/enforce: baseline')], /KITH0124/,
    ['warning KITH0124 Namespace bar metadata.labels.pod-security.kubernetes.io/enforce', 'warning KITH0124 Namespace foo metadata.labels.pod-security.kubernetes.io/enforce']],
  ['Pod Security, and a template that asks by itself', [namespace('foo', 'pod-security.kubernetes.io/enforce: baseline'), deployment('{containers: [{name: a}]}', { template: '{labels: {sidecar.istio.io/inject: "true"}}' })], /KITH0124/,
    ['warning KITH0124 Namespace foo metadata.labels.pod-security.kubernetes.io/enforce']],
  ['Pod Security where nothing needs an init container', [
    namespace('foo', 'istio-injection: enabled, pod-security.kubernetes.io/enforce: restricted'), deployment('{containers: [{name: a}]}', { template: '{annotations: {sidecar.istio.io/interceptionMode: NONE}}' }),
    namespace('bar', 'istio-injection: enabled, pod-security.kubernetes.io/enforce: privileged'), namespace('baz', 'pod-security.kubernetes.io/enforce: restricted'), namespace('warned', 'istio-injection: enabled, pod-security.kubernetes.io/warn: restricted'),
  ], /KITH0124/, []],
  ['Pod Security beside a CNI plugin', [namespace('foo', 'istio-injection: enabled, pod-security.kubernetes.io/enforce: restricted'), injectorMap('{"pilot": {"cni": {"enabled": true}}}'), '{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: istio-cni-node, namespace: kube-system}}'], /KITH012[24]/, []],
  ['a CNI plugin that is nowhere', [injectorMap('{"pilot": {"cni": {"enabled": true}}}')], /KITH0122/, ['warning KITH0122 ConfigMap istio-sidecar-injector data.values']],
  ['fields of meshConfig', [namespace('foo')], /KITH0122/, ['warning KITH0122 MeshConfig istio defaultConfig.proxyMetadata.ISTIO_META_DNS_CAPTURE', 'warning KITH0122 MeshConfig istio enableTracing'], { enableTracing: true, defaultConfig: { proxyMetadata: { ISTIO_META_DNS_CAPTURE: 'true' } } }],
  ['a setting of a template is said of it, not of each of its pods', [
    deployment('{containers: [{name: a}]}', { template: '{annotations: {sidecar.istio.io/statsHistogramBuckets: x}}' }), pod('d-5d4f9-x', '{containers: [{name: a}]}', ', annotations: {sidecar.istio.io/statsHistogramBuckets: x}, labels: {pod-template-hash: 5d4f9}, ownerReferences: [{kind: ReplicaSet, name: d-5d4f9}]'),
    pod('alone', '{containers: [{name: a}]}', ', annotations: {sidecar.istio.io/statsHistogramBuckets: x}'),
  ], /KITH0122/, ['warning KITH0122 Deployment d spec.template.metadata.annotations.sidecar.istio.io/statsHistogramBuckets', 'warning KITH0122 Pod alone metadata.annotations.sidecar.istio.io/statsHistogramBuckets']],
  ['full names end in the cluster’s domain', [service('ports: [{name: http, port: 80}]'), ...['s.foo.svc.k8s.corp', 's.foo.svc.cluster.local'].map((host, n) => `{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v${n}, namespace: foo}, spec: {hosts: [a${n}.com], http: [{route: [{destination: {host: ${host}}}]}]}}`)], /IST0101/,
    ['error IST0101 VirtualService v1 spec.http[0].route[0].destination.host'], { compat: { clusterDomain: 'k8s.corp' } }],
]

test('each analyzer on the smallest mesh that it has something to say of', () => {
  for (const [name, texts, codes, wanted, meshConfig] of cases) assert.deepEqual(said(texts, codes, meshConfig), [...wanted].sort(), name)
})

const selecting = [
  '{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, namespace: foo}, spec: {selector: {app: web}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: [a.com]}]}}',
  '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: foo}, spec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: ["*/*"]}]}}',
  telemetry('t', '{selector: {matchLabels: {app: web}}}'),
  '{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, namespace: foo}, spec: {selector: {matchLabels: {app: web}}}}',
  '{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: s, subsets: [{name: v1, labels: {version: v1}}, {name: zone, labels: {version: v1, topology.kubernetes.io/zone: a}}]}}',
]

test('templates count where a message says that no workload is there, whatever kind has them; codes of running pods do not look at them', () => {
  const template = '{metadata: {labels: {app: web, version: v1}}, spec: {containers: [{name: a, image: x}]}}'
  const base = [namespace('foo'), service('ports: [{name: http, port: 80}]')]
  const absent = /IST0101|IST0127|IST0173/
  const none = ['error IST0101 Gateway g spec.selector', 'error IST0101 Sidecar s spec.workloadSelector.labels', 'error IST0101 Telemetry t spec.selector.matchLabels',
    'error IST0173 DestinationRule d spec.subsets[0]', 'error IST0173 DestinationRule d spec.subsets[1]', 'warning IST0127 AuthorizationPolicy a spec.selector']
  assert.deepEqual(said([...base, ...selecting], absent), none)
  for (const kind of ['apps/v1, kind: Deployment', 'apps/v1, kind: StatefulSet', 'apps/v1, kind: DaemonSet', 'apps/v1, kind: ReplicaSet', 'v1, kind: ReplicationController', 'batch/v1, kind: Job']) {
    const workload = `{apiVersion: ${kind}, metadata: {name: web, namespace: foo}, spec: {template: ${template}}}`
    assert.deepEqual(said([...base, workload, ...selecting], absent), [], kind)
    assert.deepEqual(said([...base, workload], /IST0103|IST0158/), [], kind)
  }
  const cron = `{apiVersion: batch/v1, kind: CronJob, metadata: {name: web, namespace: foo}, spec: {jobTemplate: {spec: {template: ${template}}}}}`
  assert.deepEqual(said([...base, cron, ...selecting], absent), [])
  // Elsewhere, or with other labels, they are nobody's.
  const other = '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: foo}, spec: {template: {metadata: {labels: {app: other}}}}}'
  assert.deepEqual(said([...base, other, ...selecting], absent), none)
})

test('a wildcard host of a DestinationRule is known where it covers a service', () => {
  const rule = (host: string): string => `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: bar}, spec: {host: "${host}"}}`
  const entry = '{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: foo}, spec: {hosts: [api.example.com], exportTo: ["."], ports: [{number: 80, name: http, protocol: HTTP}]}}'
  for (const host of ['*', '*.foo.svc.cluster.local', '*.cluster.local']) assert.deepEqual(said([service('ports: []'), entry, rule(host)], /IST0174/), [], host)
  for (const host of ['*.bar.svc.cluster.local', '*.org', '*.example.com']) assert.deepEqual(said([service('ports: []'), entry, rule(host)], /IST0174/), ['warning IST0174 DestinationRule d spec.host'], host)
})

test('a field that stands where the one required field is missing: which is meant', () => {
  const rule = (spec: string): string => `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: ${spec}}`
  const help = (spec: string): unknown => analyze([{ value: loadAll(rule(spec))[0], origin: {} }]).messages.filter((m) => m.code === 'KITH0003').map((m) => [m.ref.path, m.help])
  assert.deepEqual(help('{name: web}'), [['spec.name', 'host is required; did you mean "host"?']])
  assert.deepEqual(help('{name: web, host: web}'), [['spec.name', 'it belongs at spec.subsets[].name or spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name']])
  assert.deepEqual(help('{name: {a: b}}'), [['spec.name', 'it belongs at spec.subsets[].name or spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name']])
  assert.deepEqual(said([rule('{name: web}')], /IST0174/), [], 'that there is no host is said once')
})

test('what kith itself installs has nothing of this', async () => {
  const { webhookConfigurations } = await import('#inject')
  const objects = [...webhookConfigurations({ revision: 'default', namespace: 'foo' }), ...webhookConfigurations({ revision: 'canary', namespace: 'foo' })]
  const services = ['istiod', 'istiod-canary'].map((name) => service('ports: []', name))
  assert.deepEqual(said([...objects.map((o) => JSON.stringify(o)), ...services], /IST0139/), [])
})
