// The table of analyzers. Each looks at all objects and says what it finds; none knows of another.
import type { Problem } from '#lib/problem.ts'
import { annotations } from './analyzers/annotations.ts'
import { authorizationPolicies } from './analyzers/authorization-policies.ts'
import { doubleTls, tlsToPlainPorts } from './analyzers/double-tls.ts'
import { deployments } from './analyzers/deployments.ts'
import { destinationRuleCertificates, destinationRuleHosts } from './analyzers/destination-rules.ts'
import { conditions } from './analyzers/conditions.ts'
import { envoyFilters } from './analyzers/envoy-filters.ts'
import { conflictingGateways, duplicateCertificates } from './analyzers/gateway-conflicts.ts'
import { hostsOfOthers } from './analyzers/foreign-hosts.ts'
import { gateways } from './analyzers/gateways.ts'
import { injection } from './analyzers/injection.ts'
import { injectionImage } from './analyzers/injection-image.ts'
import { portNames } from './analyzers/port-names.ts'
import { serviceEntries } from './analyzers/service-entries.ts'
import { askedElsewhere } from './analyzers/injection-elsewhere.ts'
import { sidecars } from './analyzers/sidecars.ts'
import { claimRoutes, meshGatewayHosts, virtualServiceDestinations, virtualServiceGateways, virtualServiceSubsets } from './analyzers/virtual-services.ts'
import { hiddenTls } from './analyzers/hidden-tls.ts'
import { peerAuthentications, portLevelServicePorts } from './analyzers/peer-authentications.ts'
import { plaintextToStrict, tlsConflicts } from './analyzers/tls-conflicts.ts'
import { podSecurity } from './analyzers/pod-security.ts'
import { applicationUsers, imageAuto } from './analyzers/pods.ts'
import { ineffectiveSelectors, unrestrictedJwks } from './analyzers/security-policies.ts'
import { telemetries, telemetryProviders } from './analyzers/telemetries.ts'
import { webhookConfigurations } from './analyzers/webhook-configurations.ts'
import { settingsNotServed, unservedPolicies } from './analyzers/unserved-policies.ts'
import { jobsThatWait } from '../injection/jobs.ts'
import type { AnalysisContext } from './context.ts'

export interface Analyzer {
  /** As istioctl's `-L` names it; ours begin with `kith.`. */
  readonly name: string
  readonly description: string
  readonly codes: readonly string[]
  readonly analyze: (context: AnalysisContext) => readonly Problem[]
}

export const analyzers: readonly Analyzer[] = [
  { name: 'annotations.K8sAnalyzer', description: 'annotations that are unknown, deprecated, or on the wrong kind', codes: ['IST0107', 'IST0108', 'IST0125', 'IST0135'], analyze: annotations },
  { name: 'applicationUID.Analyzer', description: 'applications that run as the sidecar’s user', codes: ['IST0144'], analyze: applicationUsers },
  { name: 'authn.BlockedCIDRsAnalyzer', description: 'control planes that fetch keys from anywhere', codes: ['IST0175'], analyze: unrestrictedJwks },
  { name: 'auth.AuthorizationPoliciesAnalyzer', description: 'policies that reach no pod or name no namespace', codes: ['IST0101', 'IST0127'], analyze: authorizationPolicies },
  { name: 'conditions.ConditionAnalyzer', description: 'objects whose status says no', codes: ['IST0171'], analyze: conditions },
  { name: 'deployment.MultiServiceAnalyzer', description: 'Services that disagree about a Deployment’s ports', codes: ['IST0116', 'IST0137'], analyze: deployments },
  { name: 'destinationrule.CaCertificateAnalyzer', description: 'TLS that verifies no server', codes: ['IST0128', 'IST0129'], analyze: destinationRuleCertificates },
  { name: 'destinationrule.PodNotSelectedAnalyzer', description: 'DestinationRules for unknown hosts, subsets without pods', codes: ['IST0173', 'IST0174'], analyze: destinationRuleHosts },
  { name: 'envoyfilter.EnvoyPatchAnalyzer', description: 'EnvoyFilters that change nothing, or hang on their order', codes: ['IST0151', 'IST0152', 'IST0153', 'IST0154', 'IST0155'], analyze: envoyFilters },
  { name: 'gateway.GatewayAnalyzer', description: 'Gateways without pods, credentials or ports of a Service', codes: ['IST0101', 'IST0161', 'IST0162'], analyze: gateways },
  { name: 'gateway.ConflictingGatewayAnalyzer', description: 'Gateways that claim one host', codes: ['IST0101', 'IST0145'], analyze: conflictingGateways },
  { name: 'gateway.CertificateAnalyzer', description: 'Gateways that share a certificate', codes: ['IST0138'], analyze: duplicateCertificates },
  { name: 'injection.Analyzer', description: 'namespaces and pods without sidecars', codes: ['IST0102', 'IST0103', 'IST0123', 'IST0148'], analyze: injection },
  { name: 'injection.ImageAnalyzer', description: 'sidecars of another version than the injector’s', codes: ['IST0158'], analyze: injectionImage },
  { name: 'injection.ImageAutoAnalyzer', description: 'image: auto that no injector replaces', codes: ['IST0146', 'IST0147'], analyze: imageAuto },
  { name: 'k8sgateway.SelectorAnalyzer', description: 'selectors that have no effect on a Kubernetes Gateway', codes: ['IST0166'], analyze: ineffectiveSelectors },
  { name: 'service.PortNameAnalyzer', description: 'Service ports whose protocol must be guessed', codes: ['IST0118', 'IST0150'], analyze: portNames },
  { name: 'serviceentry.ProtocolAnalyzer', description: 'ServiceEntries that disagree, or lack addresses', codes: ['IST0134', 'IST0177'], analyze: serviceEntries },
  { name: 'sidecar.SelectorAnalyzer', description: 'Sidecars that select nothing, or the same', codes: ['IST0101', 'IST0110', 'IST0111', 'IST0167'], analyze: sidecars },
  { name: 'telemetry.SelectorAnalyzer', description: 'Telemetries that select nothing, or the same', codes: ['IST0101', 'IST0159', 'IST0160'], analyze: telemetries },
  { name: 'telemetry.ProviderAnalyzer', description: 'access logging without a provider', codes: ['IST0157'], analyze: telemetryProviders },
  { name: 'virtualservice.ConflictingMeshGatewayHostsAnalyzer', description: 'VirtualServices that claim the same host', codes: ['IST0109'], analyze: meshGatewayHosts },
  { name: 'virtualservice.DestinationHostAnalyzer', description: 'routes to unknown hosts and ports', codes: ['IST0101', 'IST0112'], analyze: virtualServiceDestinations },
  { name: 'virtualservice.DestinationRuleAnalyzer', description: 'routes to unknown subsets', codes: ['IST0101'], analyze: virtualServiceSubsets },
  { name: 'virtualservice.GatewayAnalyzer', description: 'VirtualServices on unknown gateways', codes: ['IST0101', 'IST0132', 'IST0165'], analyze: virtualServiceGateways },
  { name: 'virtualservice.JWTClaimRouteAnalyzer', description: 'routes by a token’s claims where no token is verified', codes: ['IST0149'], analyze: claimRoutes },
  { name: 'webhook.Analyzer', description: 'injector webhooks that overlap or lead nowhere', codes: ['IST0139'], analyze: webhookConfigurations },
  { name: 'kith.PeerAuthenticationAnalyzer', description: 'PeerAuthentications that count nowhere', codes: ['KITH0101', 'KITH0102'], analyze: peerAuthentications },
  { name: 'kith.PortLevelMtlsAnalyzer', description: 'portLevelMtls that names a Service port', codes: ['KITH0103'], analyze: portLevelServicePorts },
  { name: 'kith.TlsConflictAnalyzer', description: 'DestinationRules against what each endpoint takes', codes: ['KITH0104'], analyze: tlsConflicts },
  { name: 'kith.DoubleTlsAnalyzer', description: 'applications’ TLS inside of TLS that a DestinationRule makes', codes: ['KITH0130'], analyze: doubleTls },
  { name: 'kith.TlsToPlainPortAnalyzer', description: 'TLS towards ports where servers hardly speak it', codes: ['KITH0131'], analyze: tlsToPlainPorts },
  { name: 'kith.JobSidecarAnalyzer', description: 'Jobs whose sidecar keeps them from completing', codes: ['KITH0132'], analyze: (context) => jobsThatWait(context.objects, context.mesh.workloads) },
  { name: 'kith.HiddenTlsAnalyzer', description: 'DestinationRules without tls that hide one with', codes: ['KITH0105'], analyze: hiddenTls },
  { name: 'kith.PlaintextToStrictAnalyzer', description: 'workloads without a sidecar and the STRICT ports of their namespaces’ neighbours', codes: ['KITH0106'], analyze: plaintextToStrict },
  { name: 'kith.ForeignHostAnalyzer', description: 'VirtualServices and ServiceEntries that claim a host of another namespace', codes: ['KITH0120'], analyze: hostsOfOthers },
  { name: 'kith.InjectionAskedElsewhereAnalyzer', description: 'labels and annotations for injection where injection does not look', codes: ['KITH0123'], analyze: askedElsewhere },
  { name: 'kith.PodSecurityAnalyzer', description: 'namespaces whose Pod Security level refuses injected pods', codes: ['KITH0124'], analyze: podSecurity },
  { name: 'kith.UnservedPolicyAnalyzer', description: 'kinds, policies and fields that this mesh does not carry out as they are meant', codes: ['KITH0107', 'KITH0110', 'KITH0121'], analyze: unservedPolicies },
  { name: 'kith.UnservedSettingAnalyzer', description: 'labels, annotations and fields of meshConfig that this mesh does not carry out', codes: ['KITH0122'], analyze: settingsNotServed },
]
