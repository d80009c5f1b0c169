// The CustomResourceDefinitions of the mesh's kinds, made from the schemas that decode them: names, versions and columns as Istio's.
// Law: one schema for all versions of a kind (they differ in name alone), so that no conversion is needed.
import { istioKinds, type IstioKind } from '#api'
import { invariant } from '#lib/errors.ts'
import { knownResource } from '#lib/kubernetes/kinds.ts'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { fieldDoc } from './field-docs.ts'
import { openApi } from './openapi.ts'

interface Column { readonly name: string; readonly description: string; readonly jsonPath: string; readonly type: string }

const column = (name: string, jsonPath: string, description: string): Column => ({ name, type: 'string', jsonPath, description })
const age: Column = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Since when the object exists.' }

interface Shown { readonly shortNames?: readonly string[]; readonly columns?: readonly Column[]; readonly page: string; readonly about: string }

const shown: Readonly<Record<string, Shown>> = {
  PeerAuthentication: { shortNames: ['pa'], columns: [column('Mode', '.spec.mtls.mode', 'The mode of mutual TLS where no port says otherwise.'), age], page: 'security/peer_authentication', about: 'what a sidecar takes: mutual TLS, plaintext or both' },
  AuthorizationPolicy: { shortNames: ['ap'], columns: [column('Action', '.spec.action', 'What happens to a request that a rule matches.'), age], page: 'security/authorization-policy', about: 'who may call what' },
  RequestAuthentication: { shortNames: ['ra'], page: 'security/request_authentication', about: 'which tokens of end users are taken' },
  DestinationRule: { shortNames: ['dr'], columns: [column('Host', '.spec.host', 'The service that the rule is for.'), age], page: 'networking/destination-rule', about: 'how a service is called once a route has chosen it' },
  VirtualService: { shortNames: ['vs'], columns: [column('Gateways', '.spec.gateways', 'Where the routes hold.'), column('Hosts', '.spec.hosts', 'The names that callers use.'), age], page: 'networking/virtual-service', about: 'where calls to a host go' },
  ServiceEntry: {
    shortNames: ['se'],
    columns: [
      column('Hosts', '.spec.hosts', 'The names that callers use.'), column('Location', '.spec.location', 'Inside the mesh, or outside.'), column('Resolution', '.spec.resolution', 'How the addresses are found.'), age,
    ],
    page: 'networking/service-entry', about: 'a service that the cluster does not know by itself',
  },
  WorkloadEntry: { shortNames: ['we'], columns: [age, column('Address', '.spec.address', 'Where the workload answers.')], page: 'networking/workload-entry', about: 'a workload that is no pod' },
  WorkloadGroup: { shortNames: ['wg'], columns: [age], page: 'networking/workload-group', about: 'what workloads that are no pods have in common' },
  Sidecar: { page: 'networking/sidecar', about: 'what a sidecar knows of the mesh, and which ports it opens' },
  Gateway: { shortNames: ['gw'], page: 'networking/gateway', about: 'which ports a proxy at the edge of the mesh opens' },
  EnvoyFilter: { page: 'networking/envoy-filter', about: 'changes to the proxy’s own configuration' },
  ProxyConfig: { page: 'networking/proxy-config', about: 'settings of the proxies themselves' },
  Telemetry: { shortNames: ['telemetry'], columns: [age], page: 'telemetry', about: 'which metrics, traces and access logs are made' },
}

/** Sorted by name. */
export function customResourceDefinitions(): readonly KubernetesObject[] {
  return Object.entries(istioKinds).map(([kind, definition]) => customResourceDefinition(kind, definition)).sort((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
}

function customResourceDefinition(kind: string, { group, versions, spec, specRequired, storage = versions[0] }: IstioKind): KubernetesObject {
  const resource = knownResource(`${group}/v1`, kind)
  const show = shown[kind]
  invariant(resource !== undefined && show !== undefined, 'a kind of the mesh has no entry in the table of resources')
  const { plural } = resource
  const link = `https://istio.io/latest/docs/reference/config/${show.page}/`
  return {
    apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, labels: { 'app.kubernetes.io/part-of': 'istio', app: 'istio-pilot', istio: group.slice(0, group.indexOf('.')) }, annotations: { 'helm.sh/resource-policy': 'keep' } },
    spec: {
      group,
      names: { kind, listKind: `${kind}List`, plural, singular: kind.toLowerCase(), categories: ['istio-io', group.replaceAll('.', '-')], ...(show.shortNames === undefined ? {} : { shortNames: show.shortNames }) },
      scope: 'Namespaced',
      versions: versions.map((name) => ({
        name, served: true, storage: name === storage, subresources: { status: {} }, ...(show.columns === undefined ? {} : { additionalPrinterColumns: show.columns }),
        schema: {
          openAPIV3Schema: {
            type: 'object', description: `${kind}: ${show.about}. See ${link}`,
            ...(specRequired === true ? { required: ['spec'] } : {}),
            properties: { spec: { description: `What is asked for. See ${link}`, ...openApi(spec, kind, fieldDoc) }, status: { type: 'object', description: 'What the control plane made of it.', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        },
      })),
    },
  }
}
