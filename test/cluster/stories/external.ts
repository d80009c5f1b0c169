// A server outside the mesh and outside its namespaces' knowledge: a pod without a sidecar, found by a name that the cluster's DNS has from elsewhere; its CA's certificate is mounted into sleep.foo's sidecar, as users do.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apply, kubectl, makeNamespace, patch, podsReady, rolledOut } from '../cluster.ts'
import { walkthrough } from '../calls.ts'
import { hostNames } from '../lab.ts'

const host = 'external-service.example.com'
const caFile = '/ca/ca.pem'
const indent = (text: string, by: number): string => text.split('\n').map((l) => `${' '.repeat(by)}${l}`).join('\n')

/** Kith's own image has what external.ts imports. */
const server = `
apiVersion: v1
kind: ConfigMap
metadata: {name: program, namespace: outside}
data:
  external.ts: |
${indent(readFileSync(join(walkthrough, 'external.ts'), 'utf8'), 4)}
---
apiVersion: v1
kind: Pod
metadata: {name: external, namespace: outside}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: external
    image: kith.dev/proxyv2:0.1.0
    imagePullPolicy: Never
    command: [/usr/bin/node, /opt/kith/outside/external.ts, ${caFile}]
    securityContext: {runAsUser: 0}
    readinessProbe: {tcpSocket: {port: 443}, periodSeconds: 1}
    volumeMounts: [{name: program, mountPath: /opt/kith/outside}, {name: ca, mountPath: /ca}]
  volumes: [{name: program, configMap: {name: program}}, {name: ca, emptyDir: {}}]
`

export async function startExternal(): Promise<void> {
  makeNamespace('outside')
  apply(server)
  await podsReady('outside', '1/1', 1)
  const address = kubectl('get pod external -n outside -o jsonpath={.status.podIP}')
  hostNames(`${address} ${host}\n`)
  const ca = kubectl(`exec -n outside external -- /usr/bin/node -p require("fs").readFileSync("${caFile}","utf8")`)
  apply(`apiVersion: v1\nkind: ConfigMap\nmetadata: {name: external-ca, namespace: foo}\ndata:\n  ca.pem: |\n${indent(ca.trim(), 4)}\n`)
  const annotations = { 'sidecar.istio.io/userVolume': '{"external-ca":{"configMap":{"name":"external-ca"}}}', 'sidecar.istio.io/userVolumeMount': '{"external-ca":{"mountPath":"/var/run/secrets/external-ca","readOnly":true}}' }
  patch('deployment/sleep', 'foo', { spec: { template: { metadata: { annotations } } } })
  rolledOut('foo')
  await podsReady('foo', '2/2', 1, 'app=sleep')
}
