// What a configured template reads: Istio's SidecarTemplateData. `.Values` and meshConfig as they were given, a ProxyConfig with Istio's defaults.
import { proxyDefaults } from './go-template/index.ts'
import { imageOf } from './sidecar-template.ts'
import type { Obj, TemplateInput } from './template-types.ts'

export function templateData(input: TemplateInput): Obj {
  const { settings, owner, namespace } = input
  const mesh = settings.meshConfig
  const traffic = (mesh['inboundTrafficPolicy'] as { mode?: unknown } | undefined)?.mode
  return {
    TypeMeta: { apiVersion: owner.apiVersion, kind: owner.kind }, DeploymentMeta: { name: owner.name, namespace },
    ObjectMeta: { ...input.metadata, labels: input.labels, annotations: input.annotations }, Spec: { ...input.spec, containers: input.spec['containers'] ?? [] },
    ProxyConfig: { ...proxyDefaults, interceptionMode: settings.interceptionMode, statusPort: settings.statusPort, ...input.proxyConfig }, MeshConfig: { trustDomain: settings.trustDomain, ...mesh },
    // A template may change what it is given (`set`): the next pod must not see it.
    Values: structuredClone(settings.values), Revision: settings.revision, ProxyImage: imageOf(input), ProxyInitImage: settings.initImage, ProxyUID: input.proxyUid, ProxyGID: input.proxyGid, NativeSidecars: input.native,
    InboundTrafficPolicyMode: traffic === 'LOCALHOST' ? 'localhost' : 'passthrough', CompliancePolicy: '',
  }
}
