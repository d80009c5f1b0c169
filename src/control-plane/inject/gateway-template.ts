// A gateway of the user's own: a pod whose container is the proxy itself, with no application beside it and nothing redirected. Istio's gateway-injection-template.yaml, as data.
import { annotationsFor, clean, environment, imageOf, labelsFor, proxyArgs, proxyMounts, proxyVolumes, readinessProbe } from './sidecar-template.ts'
import type { InjectionTemplate } from './template-types.ts'

export const gatewayTemplate: InjectionTemplate = {
  name: 'gateway',
  render(input) {
    const { settings } = input
    const { 'security.istio.io/tlsMode': _tlsMode, 'networking.istio.io/tunnel': _tunnel, ...labels } = labelsFor(input)
    const proxy = clean({
      name: 'istio-proxy', image: imageOf(input), imagePullPolicy: settings.imagePullPolicy, args: proxyArgs(input, 'router'), ports: [{ containerPort: 15090, protocol: 'TCP', name: 'http-envoy-prom' }], env: environment(input),
      securityContext: { runAsUser: input.proxyUid, runAsGroup: input.proxyGid }, readinessProbe: readinessProbe(settings, {}), volumeMounts: proxyMounts,
    })
    const secrets = settings.imagePullSecrets.map((name) => ({ name }))
    return {
      metadata: { labels, annotations: annotationsFor(input) },
      // Ports below 1024 without a capability.
      spec: { securityContext: { sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '0' }] }, containers: [proxy], volumes: proxyVolumes(input), ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets }) },
    }
  },
}
