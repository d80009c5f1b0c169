// What the control plane may do, and nothing else. Law: every rule says what it is for; secrets are its own namespace's and by name alone.
import { istioKinds } from '#api'
import { mutatingName, validatingName } from '#inject'
import { knownResource } from '#lib/kubernetes/kinds.ts'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Settings } from './settings.ts'

interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly verbs: readonly string[]
}

const rbacGroup = 'rbac.authorization.k8s.io'
const reading = ['get', 'list', 'watch']
const rule = (group: string, resources: readonly string[], verbs: readonly string[], ...resourceNames: readonly string[]): Rule => ({ apiGroups: [group], resources, ...(resourceNames.length === 0 ? {} : { resourceNames }), verbs })

export function rbac(settings: Settings): readonly KubernetesObject[] {
  const { name, suffix, namespace, labels } = settings
  const clusterName = `istiod-clusterrole${suffix}-${namespace}`
  const subjects = [{ kind: 'ServiceAccount', name, namespace }]
  const apiVersion = `${rbacGroup}/v1`
  return [
    { apiVersion, kind: 'ClusterRole', metadata: { name: clusterName, labels }, rules: clusterRules(settings) },
    { apiVersion, kind: 'ClusterRoleBinding', metadata: { name: clusterName, labels }, roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: clusterName }, subjects },
    { apiVersion, kind: 'Role', metadata: { name, namespace, labels }, rules: ownNamespaceRules(settings) },
    { apiVersion, kind: 'RoleBinding', metadata: { name, namespace, labels }, roleRef: { apiGroup: rbacGroup, kind: 'Role', name }, subjects },
  ]
}

/** A tag's webhooks may be patched too: a role of their own, so that a tag can come and go. */
export function tagRole(settings: Settings, tag: string): readonly KubernetesObject[] {
  const { name, namespace, labels } = settings
  const apiVersion = `${rbacGroup}/v1`
  const roleName = `istiod-tag-${tag}-${namespace}`
  const metadata = { name: roleName, labels: { ...labels, 'istio.io/tag': tag } }
  return [
    { apiVersion, kind: 'ClusterRole', metadata, rules: webhookRules({ revision: settings.revision, namespace, tag }) },
    { apiVersion, kind: 'ClusterRoleBinding', metadata, roleRef: { apiGroup: rbacGroup, kind: 'ClusterRole', name: roleName }, subjects: [{ kind: 'ServiceAccount', name, namespace }] },
  ]
}

/** The API server must trust the certificate of the webhooks: the control plane tells it which. */
function webhookRules(of: { readonly revision: string; readonly namespace: string; readonly tag?: string }): readonly Rule[] {
  const group = 'admissionregistration.k8s.io'
  const validating = of.tag === undefined || of.tag === 'default' ? [rule(group, ['validatingwebhookconfigurations'], ['patch'], validatingName(of))] : []
  return [rule(group, ['mutatingwebhookconfigurations'], ['patch'], mutatingName(of)), ...validating]
}

function clusterRules({ revision, namespace }: Settings): readonly Rule[] {
  return [
    // Who and what is in the mesh.
    rule('', ['pods', 'services', 'namespaces', 'nodes'], reading),
    rule('discovery.k8s.io', ['endpointslices'], reading),
    ...meshRules(),
    // Whose token it is that asks for a certificate, or to see what /debug shows.
    rule('authentication.k8s.io', ['tokenreviews'], ['create']),
    // Whether a proxy's account may itself read the Secret that a credentialName names.
    rule('authorization.k8s.io', ['subjectaccessreviews'], ['create']),
    // The mesh's root certificate for the pods of every namespace. What is created has no name yet that a rule could know.
    rule('', ['configmaps'], ['create']),
    rule('', ['configmaps'], [...reading, 'patch'], 'istio-ca-root-cert'),
    rule('admissionregistration.k8s.io', ['mutatingwebhookconfigurations', 'validatingwebhookconfigurations'], reading),
    ...webhookRules({ revision, namespace }),
    // Why a pod got no sidecar is told to whoever made the pod.
    rule('', ['events'], ['create']),
  ]
}

/** Each group's kinds to read, and their status to write: neither wildcards nor specs. */
function meshRules(): readonly Rule[] {
  const groups = new Map<string, string[]>()
  for (const [kind, { group }] of Object.entries(istioKinds)) {
    const plural = knownResource(`${group}/v1`, kind)?.plural
    if (plural !== undefined) groups.set(group, [...(groups.get(group) ?? []), plural].sort())
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([group, resources]) => [rule(group, resources, reading), rule(group, resources.map((r) => `${r}/status`), ['patch'])])
}

function ownNamespaceRules({ suffix }: Settings): readonly Rule[] {
  return [
    // The CA's key: made once, or plugged in.
    rule('', ['secrets'], ['create']),
    rule('', ['secrets'], reading, 'istio-ca-secret', 'cacerts'),
    // Our own root is renewed before it ends; a change of authority is agreed on by all replicas.
    rule('', ['secrets'], ['patch'], 'istio-ca-secret'),
    rule('', ['secrets'], [...reading, 'patch'], 'istio-ca-staging'),
    rule('', ['configmaps'], reading, `istio${suffix}`, `istio-sidecar-injector${suffix}`),
    // Which replica does what only one may do.
    rule('coordination.k8s.io', ['leases'], ['create']),
    rule('coordination.k8s.io', ['leases'], ['get', 'update'], 'istio-leader', `istio-webhook-leader${suffix}`),
  ]
}
