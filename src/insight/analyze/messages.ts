// Every code that kith says: its name, and one sentence of what it means. Istio's codes have Istio's names; KITH codes are explained in docs/analyzers.md.

export interface MessageKind {
  readonly name: string
  readonly summary: string
}

export const messageKinds: Readonly<Record<string, MessageKind>> = {
  IST0101: { name: 'ReferencedResourceNotFound', summary: 'something that is named does not exist' },
  IST0102: { name: 'NamespaceNotInjected', summary: 'the namespace asks for no sidecars' },
  IST0103: { name: 'PodMissingProxy', summary: 'the pod has no sidecar, though its namespace asks for one' },
  IST0106: { name: 'SchemaValidationError', summary: 'a cluster would refuse this object' },
  IST0107: { name: 'MisplacedAnnotation', summary: 'the annotation has no effect on this kind' },
  IST0108: { name: 'UnknownAnnotation', summary: 'Istio knows no such annotation' },
  IST0109: { name: 'ConflictingMeshGatewayVirtualServiceHosts', summary: 'several VirtualServices claim one host in the mesh' },
  IST0110: { name: 'ConflictingSidecarWorkloadSelectors', summary: 'several Sidecars select one pod' },
  IST0111: { name: 'MultipleSidecarsWithoutWorkloadSelectors', summary: 'several Sidecars of a namespace select nothing in particular' },
  IST0112: { name: 'VirtualServiceDestinationPortSelectorRequired', summary: 'the destination has several ports, and none is chosen' },
  IST0116: { name: 'DeploymentAssociatedToMultipleServices', summary: 'several Services use one port with different protocols' },
  IST0118: { name: 'PortNameIsNotUnderNamingConvention', summary: 'the port’s name does not tell its protocol' },
  IST0123: { name: 'NamespaceMultipleInjectionLabels', summary: 'the namespace has both labels for injection' },
  IST0127: { name: 'NoMatchingWorkloadsFound', summary: 'the policy reaches no pod' },
  IST0128: { name: 'NoServerCertificateVerificationDestinationLevel', summary: 'TLS without caCertificates verifies nobody of a private CA' },
  IST0129: { name: 'NoServerCertificateVerificationPortLevel', summary: 'TLS without caCertificates verifies nobody of a private CA' },
  IST0130: { name: 'VirtualServiceUnreachableRule', summary: 'a rule can never be used' },
  IST0131: { name: 'VirtualServiceIneffectiveMatch', summary: 'a match can never be used' },
  IST0132: { name: 'VirtualServiceHostNotFoundInGateway', summary: 'the gateway serves none of the hosts' },
  IST0133: { name: 'SchemaWarning', summary: 'a cluster would take this object with a warning' },
  IST0134: { name: 'ServiceEntryAddressesRequired', summary: 'a TCP port of a ServiceEntry needs addresses' },
  IST0135: { name: 'DeprecatedAnnotation', summary: 'the annotation is deprecated' },
  IST0137: { name: 'DeploymentConflictingPorts', summary: 'several Services lead to one container port from different ports' },
  IST0158: { name: 'PodsIstioProxyImageMismatchInNamespace', summary: 'pods run another sidecar image than the injector’s' },
  IST0173: { name: 'DestinationRuleSubsetNotSelectPods', summary: 'a subset has no pod' },
  IST0174: { name: 'UnknownDestinationRuleHost', summary: 'nobody knows the host of the DestinationRule' },
  IST0177: { name: 'ConflictingServiceEntryProtocol', summary: 'several ServiceEntries give one port of a host different protocols' },
  KITH0001: { name: 'UnreadableYaml', summary: 'the text is no YAML' },
  KITH0002: { name: 'UnreadableFile', summary: 'the file can’t be read' },
  KITH0003: { name: 'UnknownField', summary: 'the kind has no such field' },
  KITH0004: { name: 'UnreadableValue', summary: 'the value can’t be read as the field’s type' },
  KITH0005: { name: 'RefusedBySchema', summary: 'the CRD’s schema refuses the value' },
  KITH0006: { name: 'NoObject', summary: 'the document is no object of any API' },
  KITH0101: { name: 'SeveralPeerAuthentications', summary: 'only the oldest of several PeerAuthentications at one scope counts' },
  KITH0102: { name: 'RootSelectorIgnored', summary: 'a PeerAuthentication of the root namespace with a selector counts nowhere' },
  KITH0103: { name: 'PortLevelMtlsServicePort', summary: 'portLevelMtls takes container ports, not Service ports' },
  KITH0104: { name: 'DestinationRuleTlsConflict', summary: 'what the DestinationRule sends is not what the endpoint takes' },
  KITH0105: { name: 'DestinationRuleHidesTls', summary: 'a DestinationRule without tls hides one with' },
  KITH0106: { name: 'PlaintextToStrict', summary: 'a workload without a sidecar can’t reach a STRICT port' },
  KITH0107: { name: 'PolicyNotServed', summary: 'a part of an AuthorizationPolicy that this mesh does not carry out as it is meant' },
  KITH0108: { name: 'RequestAuthenticationNotEnforced', summary: 'tokens of end users are not verified' },
}

/** Istio explains its codes on its site, kith in its docs. */
export const documentationUrl = (code: string): string => (code.startsWith('IST') ? `https://istio.io/latest/docs/reference/config/analysis/${code.toLowerCase()}/` : `docs/analyzers.md#${code.toLowerCase()}`)
