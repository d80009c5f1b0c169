// Values → every object of an installation, in the order in which an API server must get them: what others refer to comes first.
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { injectorConfigMap, meshConfigMap } from './config-maps.ts'
import { deployment, disruptionBudget, service, serviceAccount } from './control-plane.ts'
import { customResourceDefinitions } from './crds.ts'
import type { Values } from './default-values.ts'
import { rbac } from './rbac.ts'
import { managedBy, settingsOf, valueAt } from './settings.ts'

/** `values` must be whole: resolveValues gives them. */
export function manifests(values: Values): readonly KubernetesObject[] {
  const settings = settingsOf(values)
  const { namespace } = settings
  const base: readonly KubernetesObject[] = [{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { ...managedBy } } }, ...customResourceDefinitions()]
  if (valueAt(values, 'pilot.enabled') === false) return base
  return [
    ...base,
    serviceAccount(settings), ...rbac(settings), meshConfigMap(settings), injectorConfigMap(settings), service(settings), ...disruptionBudget(settings), deployment(settings),
  ]
}
