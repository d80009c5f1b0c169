// Where the API server keeps each kind. Law: a kind that stands here needs no discovery; any other is looked up once (discovery.ts).

export interface Resource {
  readonly plural: string
  readonly namespaced: boolean
}

const namespaced = (...plurals: readonly string[]): readonly Resource[] => plurals.map((plural) => ({ plural, namespaced: true }))
const ofCluster = (...plurals: readonly string[]): readonly Resource[] => plurals.map((plural) => ({ plural, namespaced: false }))

/** By group; versions of one kind share their path. */
const groups: Readonly<Record<string, Readonly<Record<string, Resource>>>> = {
  '': {
    ...named(['Pod', 'Service', 'ServiceAccount', 'ConfigMap', 'Secret', 'Event', 'Endpoints', 'PersistentVolumeClaim', 'ReplicationController', 'LimitRange', 'ResourceQuota', 'PodTemplate'], namespaced('pods', 'services', 'serviceaccounts', 'configmaps', 'secrets', 'events', 'endpoints', 'persistentvolumeclaims', 'replicationcontrollers', 'limitranges', 'resourcequotas', 'podtemplates')),
    ...named(['Namespace', 'Node', 'PersistentVolume'], ofCluster('namespaces', 'nodes', 'persistentvolumes')),
  },
  apps: named(['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ControllerRevision'], namespaced('deployments', 'statefulsets', 'daemonsets', 'replicasets', 'controllerrevisions')),
  batch: named(['Job', 'CronJob'], namespaced('jobs', 'cronjobs')),
  autoscaling: named(['HorizontalPodAutoscaler'], namespaced('horizontalpodautoscalers')),
  policy: named(['PodDisruptionBudget'], namespaced('poddisruptionbudgets')),
  'coordination.k8s.io': named(['Lease'], namespaced('leases')),
  'discovery.k8s.io': named(['EndpointSlice'], namespaced('endpointslices')),
  'events.k8s.io': named(['Event'], namespaced('events')),
  'rbac.authorization.k8s.io': { ...named(['Role', 'RoleBinding'], namespaced('roles', 'rolebindings')), ...named(['ClusterRole', 'ClusterRoleBinding'], ofCluster('clusterroles', 'clusterrolebindings')) },
  'admissionregistration.k8s.io': named(
    ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'],
    ofCluster('mutatingwebhookconfigurations', 'validatingwebhookconfigurations', 'validatingadmissionpolicies', 'validatingadmissionpolicybindings'),
  ),
  'apiextensions.k8s.io': named(['CustomResourceDefinition'], ofCluster('customresourcedefinitions')),
  'apiregistration.k8s.io': named(['APIService'], ofCluster('apiservices')),
  'authentication.k8s.io': named(['TokenReview', 'SelfSubjectReview'], ofCluster('tokenreviews', 'selfsubjectreviews')),
  'authorization.k8s.io': { ...named(['SubjectAccessReview', 'SelfSubjectAccessReview', 'SelfSubjectRulesReview'], ofCluster('subjectaccessreviews', 'selfsubjectaccessreviews', 'selfsubjectrulesreviews')), ...named(['LocalSubjectAccessReview'], namespaced('localsubjectaccessreviews')) },
  'networking.k8s.io': { ...named(['Ingress', 'NetworkPolicy'], namespaced('ingresses', 'networkpolicies')), ...named(['IngressClass'], ofCluster('ingressclasses')) },
  'scheduling.k8s.io': named(['PriorityClass'], ofCluster('priorityclasses')),
  'storage.k8s.io': named(['StorageClass'], ofCluster('storageclasses')),
  'security.istio.io': named(['PeerAuthentication', 'AuthorizationPolicy', 'RequestAuthentication'], namespaced('peerauthentications', 'authorizationpolicies', 'requestauthentications')),
  'networking.istio.io': named(
    ['DestinationRule', 'VirtualService', 'ServiceEntry', 'WorkloadEntry', 'WorkloadGroup', 'Sidecar', 'Gateway', 'EnvoyFilter', 'ProxyConfig'],
    namespaced('destinationrules', 'virtualservices', 'serviceentries', 'workloadentries', 'workloadgroups', 'sidecars', 'gateways', 'envoyfilters', 'proxyconfigs'),
  ),
  'telemetry.istio.io': named(['Telemetry'], namespaced('telemetries')),
  'extensions.istio.io': named(['WasmPlugin'], namespaced('wasmplugins')),
  'gateway.networking.k8s.io': named(['Gateway', 'HTTPRoute', 'GRPCRoute'], namespaced('gateways', 'httproutes', 'grpcroutes')),
}

function named(kinds: readonly string[], resources: readonly Resource[]): Readonly<Record<string, Resource>> {
  return Object.fromEntries(kinds.map((kind, i) => [kind, resources[i] as Resource]))
}

export function groupOf(apiVersion: string): string {
  const slash = apiVersion.indexOf('/')
  return slash === -1 ? '' : apiVersion.slice(0, slash)
}

/** undefined: not in the table. */
export function knownResource(apiVersion: string, kind: string): Resource | undefined {
  const group = groups[groupOf(apiVersion)]
  return group !== undefined && Object.hasOwn(group, kind) ? group[kind] : undefined
}

/** `/api/v1`, `/apis/apps/v1` */
export function groupPath(apiVersion: string): string {
  return apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
}

/** Of a collection, or of one object where `name` is given. */
export function resourcePath(resource: Resource, apiVersion: string, namespace: string | undefined, name?: string): string {
  const within = resource.namespaced && namespace !== undefined && namespace !== '' ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  return `${groupPath(apiVersion)}${within}/${resource.plural}${name === undefined ? '' : `/${encodeURIComponent(name)}`}`
}
