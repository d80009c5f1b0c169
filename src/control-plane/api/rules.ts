// The catalogue of rules: what a reason's id means, in one English sentence, and where Istio says so.

export interface Rule {
  readonly sentence: string
  readonly link?: string
}

const peer = 'https://istio.io/latest/docs/reference/config/security/peer_authentication/'
const destination = 'https://istio.io/latest/docs/reference/config/networking/destination-rule/'
const virtual = 'https://istio.io/latest/docs/reference/config/networking/virtual-service/'
const sidecar = 'https://istio.io/latest/docs/reference/config/networking/sidecar/'
const entry = 'https://istio.io/latest/docs/reference/config/networking/service-entry/'
const authorization = 'https://istio.io/latest/docs/reference/config/security/authorization-policy/'
const annotations = 'https://istio.io/latest/docs/reference/config/annotations/'
const headless = 'https://istio.io/latest/docs/ops/configuration/traffic-management/traffic-routing/'
const injection = 'https://istio.io/latest/docs/setup/additional-setup/sidecar-injection/'

export const rules: Readonly<Record<string, Rule>> = {
  'mtls.default': { sentence: 'nobody said anything: a sidecar takes both mutual TLS and plaintext', link: peer },
  'mtls.mesh': { sentence: 'the root namespace’s policy without a selector holds for the whole mesh', link: peer },
  'mtls.namespace': { sentence: 'a policy without a selector holds for its namespace', link: peer },
  'mtls.workload': { sentence: 'a policy whose selector names the workload beats those of namespace and mesh', link: peer },
  'mtls.port': { sentence: 'the workload’s policy says something of its own for this container port', link: peer },
  'mtls.unset': { sentence: 'the policy leaves the mode open, so the wider one holds', link: peer },
  'mtls.younger-rival': { sentence: 'another policy at the same scope is older (or first by name), and the oldest alone counts', link: peer },
  'mtls.root-selector': { sentence: 'a policy of the root namespace with a selector counts nowhere', link: peer },
  'mtls.service-port': { sentence: 'portLevelMtls takes container ports; this is a Service port', link: peer },
  'tls.auto': { sentence: 'automatic mutual TLS: each endpoint gets what its own policy takes', link: 'https://istio.io/latest/docs/concepts/security/#auto-mutual-tls' },
  'tls.auto-headless': { sentence: 'automatic mutual TLS of a headless service: the pod that was chosen gets what its own policy takes' },
  'tls.auto-address': { sentence: 'automatic mutual TLS by address: the pod that was called gets what its own policy takes' },
  'tls.auto-istio-headless': { sentence: 'as Istio decides it for a headless service: where every pod behind it has a sidecar (compat.autoMtls: istio)' },
  'tls.auto-passthrough': { sentence: 'automatic mutual TLS where the address is passed through as it is: where every endpoint behind the host takes it' },
  'tls.credential-unselected': { sentence: 'credentialName counts on sidecars only in a rule with a workloadSelector; without one they originate no TLS at all', link: destination },
  'tls.auto-off': { sentence: 'automatic mutual TLS is off (enableAutoMtls: false)' },
  'tls.auto-istio': { sentence: 'as Istio decides it: by the namespace’s or mesh’s policy alone (compat.autoMtls: istio)' },
  'tls.destination': { sentence: 'the DestinationRule’s trafficPolicy.tls', link: destination },
  'tls.port': { sentence: 'the DestinationRule’s entry for this Service port replaces its general policy', link: destination },
  'tls.port-replaces': { sentence: 'a port’s entry without tls replaces the general policy, so nothing is originated', link: destination },
  'tls.subset': { sentence: 'the subset’s own trafficPolicy.tls', link: destination },
  'tls.external': { sentence: 'a service outside the mesh gets no automatic mutual TLS', link: entry },
  'tls.no-sidecar': { sentence: 'without a sidecar the application’s bytes go out as they are' },
  'tls.past-sidecar': { sentence: 'the call does not meet the caller’s sidecar: the application’s bytes go out as they are' },
  'tls.loopback': { sentence: 'the application’s bytes as they are' },
  'tls.passthrough': { sentence: 'an unknown destination gets the bytes as the application wrote them' },
  'tls.younger-rival': { sentence: 'another DestinationRule for this host takes precedence' },
  'tls.elsewhere': { sentence: 'a DestinationRule for this host that does not apply to this client' },
  'capture.redirected': { sentence: 'the pod’s rules redirect the connection to its sidecar', link: annotations },
  'capture.mode': { sentence: 'interception mode NONE: no rule of the pod redirects anything to its sidecar', link: annotations },
  'capture.port': { sentence: 'the pod’s rules leave this port out of what its sidecar gets', link: annotations },
  'capture.range': { sentence: 'the pod’s rules leave this address out of what its sidecar gets', link: annotations },
  'capture.include': { sentence: 'the pod’s rules name what its sidecar gets, and this address and port are not among it', link: annotations },
  'capture.interface': { sentence: 'the pod’s rules leave this interface out of what its sidecar gets', link: annotations },
  'capture.sidecar-user': { sentence: 'the application runs as the sidecar’s own user or group, whose connections are never redirected', link: 'https://istio.io/latest/docs/ops/deployment/application-requirements/' },
  'capture.own-address': { sentence: 'a pod reaches its own address by the loopback, and its sidecar does not see that', link: headless },
  'capture.loopback': { sentence: 'what a pod sends to its own loopback does not meet its sidecar' },
  'capture.udp': { sentence: 'UDP is never redirected: a sidecar carries TCP alone' },
  'endpoint.capable': { sentence: 'the endpoint has a sidecar and its port takes mutual TLS' },
  'endpoint.no-sidecar': { sentence: 'the endpoint has no sidecar' },
  'endpoint.not-redirected': { sentence: 'the pod’s rules do not lead this port to its sidecar: the application itself answers' },
  'endpoint.sidecar-port': { sentence: 'a port of the sidecar’s own, which the rules of every pod leave out' },
  'endpoint.disable': { sentence: 'the endpoint’s own policy is DISABLE' },
  'route.default': { sentence: 'no VirtualService has a say: the service that was called', link: virtual },
  'route.virtual-service': { sentence: 'the first rule of the VirtualService that matches', link: virtual },
  'route.no-match': { sentence: 'a VirtualService took the host over and none of its rules matches the call: 404', link: virtual },
  'route.not-asked': { sentence: 'the sidecar refuses the request before any route is asked' },
  'route.rival': { sentence: 'another VirtualService for this host takes precedence', link: virtual },
  'route.loopback': { sentence: 'a pod’s calls to itself meet no sidecar' },
  'route.passthrough': { sentence: 'the mesh does not know this destination and lets it pass', link: sidecar },
  'route.blackhole': { sentence: 'the mesh does not know this destination, and REGISTRY_ONLY holds', link: sidecar },
  'egress.default': { sentence: 'unknown destinations pass unless somebody says otherwise' },
  'egress.mesh': { sentence: 'meshConfig.outboundTrafficPolicy' },
  'egress.sidecar': { sentence: 'the Sidecar’s outboundTrafficPolicy', link: sidecar },
  'scope.sidecar': { sentence: 'the Sidecar’s egress hosts name what this workload sees', link: sidecar },
  'authorization.default': { sentence: 'no AuthorizationPolicy reaches the workload: everybody may call it', link: authorization },
  'authorization.deny': { sentence: 'a DENY rule matches the call', link: authorization },
  'authorization.deny-not-met': { sentence: 'no rule of this DENY policy matches the call', link: authorization },
  'authorization.allow': { sentence: 'an ALLOW rule matches the call', link: authorization },
  'authorization.none-allows': { sentence: 'ALLOW policies reach the workload, and no rule of theirs matches the call', link: authorization },
  'authorization.none-denies': { sentence: 'no DENY rule matches, and no ALLOW policy limits who may call', link: authorization },
  'authorization.audit': { sentence: 'an AUDIT rule matches the call: it is marked for audit, and nothing more', link: authorization },
  'authorization.dry-run': { sentence: 'dry run: decided and counted, not enforced', link: authorization },
  'inject.host-network': { sentence: 'a pod on the host’s network is never injected', link: injection },
  'inject.ignored-namespace': { sentence: 'system namespaces are never injected', link: injection },
  'inject.label': { sentence: 'the pod’s label sidecar.istio.io/inject decides', link: injection },
  'inject.annotation': { sentence: 'the pod’s annotation sidecar.istio.io/inject decides', link: injection },
  'inject.namespace-enabled': { sentence: 'the namespace says istio-injection=enabled', link: injection },
  'inject.namespace-disabled': { sentence: 'the namespace says istio-injection=disabled', link: injection },
  'inject.namespace-revision': { sentence: 'the namespace’s label istio.io/rev names a revision', link: injection },
  'inject.pod-revision': { sentence: 'the pod’s label istio.io/rev names a revision', link: injection },
  'inject.namespace-unlabelled': { sentence: 'neither the namespace nor the pod asks for a sidecar', link: injection },
  'inject.never-selector': { sentence: 'neverInjectSelector matches the pod’s labels', link: injection },
  'inject.always-selector': { sentence: 'alwaysInjectSelector matches the pod’s labels', link: injection },
  'inject.policy': { sentence: 'the injector’s policy', link: injection },
  'inject.by-default': { sentence: 'enableNamespacesByDefault is on', link: injection },
  'inject.mirror-pod': { sentence: 'a static pod’s mirror: its kubelet runs what its file says' },
  'inject.windows': { sentence: 'a Windows pod can’t be intercepted', link: injection },
  'sidecar.present': { sentence: 'the pod has an istio-proxy container' },
  'sidecar.absent': { sentence: 'the pod has no istio-proxy container' },
}
