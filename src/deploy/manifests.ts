// Values → every object of an installation, in the order in which an API server must get them: what others refer to comes first.
import { webhookConfigurations } from '#inject'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { injectorConfigMap, meshConfigMap } from './config-maps.ts'
import { deployment, disruptionBudget, service, serviceAccount } from './control-plane.ts'
import { customResourceDefinitions } from './crds.ts'
import type { Values } from './default-values.ts'
import { rbac, tagRole } from './rbac.ts'
import { managedBy, settingsOf, valueAt, type Settings } from './settings.ts'

/** `values` must be whole: resolveValues gives them. */
export function manifests(values: Values): readonly KubernetesObject[] {
  const settings = settingsOf(values)
  const { namespace } = settings
  const base: readonly KubernetesObject[] = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { ...managedBy } } }, ...customResourceDefinitions()]
  if (valueAt(values, 'pilot.enabled') === false) return base
  return [
    ...base,
    serviceAccount(settings), ...rbac(settings), meshConfigMap(settings), injectorConfigMap(settings), service(settings), ...disruptionBudget(settings), deployment(settings),
    ...webhooks(settings),
  ]
}

/** Last: from here on, pods are refused while nobody answers. */
function webhooks(settings: Settings): readonly KubernetesObject[] {
  const { revision, namespace, values, revisionTags } = settings
  const own = webhookConfigurations({ revision, namespace, enableNamespacesByDefault: valueAt(values, 'sidecarInjectorWebhook.enableNamespacesByDefault') === true })
  return [...own, ...revisionTags.flatMap((tag) => tagObjects(settings, tag))].map((object) => labelled(object, settings))
}

/** What sends the pods of a tag to this control plane. */
export function tagObjects(settings: Settings, tag: string): readonly KubernetesObject[] {
  const own = webhookConfigurations({ revision: settings.revision, namespace: settings.namespace, tag })
  return [...tagRole(settings, tag), ...own].map((object) => labelled(object, settings))
}

function labelled(object: KubernetesObject, { labels }: Settings): KubernetesObject {
  return { ...object, metadata: { ...object.metadata, labels: { ...labels, ...object.metadata.labels } } }
}
