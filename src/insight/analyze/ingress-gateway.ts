// The ingress gateway that an installation brings along: files seldom hold it, and Gateways that select it are no mistake.
// Taken to be there unless meshConfig says that there is none. Istio: pkg/config/analysis/local, AddDefaultResources.
import type { ApiObject, MeshConfigSpec } from '#api'

export function assumedIngressGateway(objects: readonly ApiObject[], meshConfig: MeshConfigSpec): readonly ApiObject[] {
  if (meshConfig.ingressControllerMode === 'OFF') return []
  const namespace = meshConfig.rootNamespace ?? 'istio-system'
  const name = meshConfig.ingressService ?? 'istio-ingressgateway'
  const labels = { istio: 'ingressgateway' }
  const port = (name: string, port: number) => ({ name, port, targetPort: port, protocol: 'TCP' })
  const make = (kind: string, name: string, own: Readonly<Record<string, string>>, spec: object): ApiObject => ({ apiVersion: 'v1', kind, metadata: { name, namespace, labels: own, annotations: {} }, spec, raw: {}, origin: {} })
  const assumed = [
    make('Pod', `${name}-assumed`, labels, { containers: [{ name: 'istio-proxy' }] }),
    make('Service', name, {}, { selector: labels, ports: [port('http2', 80), port('https', 443), port('tcp', 31400), port('tls', 15443)] }),
  ]
  return assumed.filter((a) => !objects.some((o) => o.kind === a.kind && o.metadata.namespace === namespace && (o.metadata.name === a.metadata.name || (a.kind === 'Pod' && o.metadata.labels['istio'] === 'ingressgateway'))))
}
