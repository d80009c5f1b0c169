// The two ConfigMaps by which users change a running mesh: meshConfig, and how pods are injected.
// Law: same values, same text: keys keep the order in which defaults and users gave them.
import { stringify } from 'yaml'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { usualClusterDomain } from '#api'
import { mergeValues } from './values.ts'
import { listAt, mapAt, textAt, valueAt, type Settings } from './settings.ts'

export function meshConfigMap({ suffix, namespace, labels, values, name }: Settings): KubernetesObject {
  const domain = textAt(values, 'global.proxy.clusterDomain')
  const mesh = mergeValues({ rootNamespace: namespace, trustDomain: 'cluster.local', defaultConfig: { discoveryAddress: `${name}.${namespace}.svc:15012` }, ...(domain === usualClusterDomain ? {} : { compat: { clusterDomain: domain } }) }, mapAt(values, 'meshConfig'))
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `istio${suffix}`, namespace, labels }, data: { mesh: stringify(mesh, { lineWidth: 0 }), meshNetworks: 'networks: {}\n' } }
}

export function injectorConfigMap(settings: Settings): KubernetesObject {
  const { suffix, namespace, labels, values, revision, name } = settings
  const config = {
    policy: textAt(values, 'global.proxy.autoInject') === 'disabled' ? 'disabled' : 'enabled', alwaysInjectSelector: listAt(values, 'sidecarInjectorWebhook.alwaysInjectSelector'), neverInjectSelector: listAt(values, 'sidecarInjectorWebhook.neverInjectSelector'),
    injectedAnnotations: mapAt(values, 'sidecarInjectorWebhook.injectedAnnotations'), defaultTemplates: listAt(values, 'sidecarInjectorWebhook.defaultTemplates'), templates: mapAt(values, 'sidecarInjectorWebhook.templates'),
  }
  const { templates: _templates, ...webhook } = mapAt(values, 'sidecarInjectorWebhook')
  const global = mergeValues(mapAt(values, 'global'), { caAddress: textAt(values, 'global.caAddress') || `${name}.${namespace}.svc:15012` })
  const read = { global, pilot: { cni: valueAt(values, 'pilot.cni') }, revision, sidecarInjectorWebhook: webhook }
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `istio-sidecar-injector${suffix}`, namespace, labels }, data: { config: stringify(config, { lineWidth: 0 }), values: JSON.stringify(read, null, 2) + '\n' } }
}
