// A gateway of the user's own: a pod whose container is the proxy itself, with no application beside it and nothing redirected. Istio's gateway-injection-template.yaml, as data.
import { annotationsFor, clean, environment, imageOf, labelsFor, proxyArgs, proxyMounts, proxyVolumes } from './sidecar-template.ts'
import type { InjectionTemplate } from './template-types.ts'

export const gatewayTemplate: InjectionTemplate = {
  name: 'gateway',
  render(input) {
    const { settings } = input
    const { 'security.istio.io/tlsMode': _tlsMode, 'topology.istio.io/network': _network, ...labels } = labelsFor(input)
    const { 'istio.io/rev': revision, ...annotations } = annotationsFor(input)
    const proxy = clean({
      name: 'istio-proxy', image: imageOf(input), imagePullPolicy: settings.imagePullPolicy, args: proxyArgs(input, 'router'), ports: [{ containerPort: 15090, protocol: 'TCP', name: 'http-envoy-prom' }], env: environment(input),
      readinessProbe: { httpGet: { path: '/healthz/ready', port: 15021 }, initialDelaySeconds: 0, periodSeconds: 15, timeoutSeconds: 3, failureThreshold: 4 }, volumeMounts: proxyMounts,
    })
    const secrets = settings.imagePullSecrets.map((name) => ({ name }))
    return {
      metadata: { labels: { ...labels, 'istio.io/rev': input.labels['istio.io/rev'] ?? revision }, annotations },
      spec: { containers: [proxy], volumes: proxyVolumes(input), ...(secrets.length === 0 ? {} : { imagePullSecrets: secrets }) },
    }
  },
}
