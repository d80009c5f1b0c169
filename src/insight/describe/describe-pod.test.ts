import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { findWorkload } from '../explain/find-workload.ts'
import { describePod, describeService } from './describe-pod.ts'

const base = `
apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: httpbin-1, namespace: foo, labels: {app: httpbin, version: v1}, annotations: {istio.io/rev: default}}
spec:
  containers: [{name: httpbin, image: x, ports: [{containerPort: 80}]}]
  initContainers: [{name: istio-proxy, image: p, ports: [{containerPort: 15090}]}]
status: {phase: Running, podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: foo}
spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000, targetPort: 80}]}
`
const mesh = (more = ''): Mesh => buildMesh(decodeObjects(parseYaml(base + more, 'in.yaml').documents).objects)
const pod = (more: string, viewed = 'foo'): string => {
  const m = mesh(more)
  return describePod(m, findWorkload(m, 'httpbin-1.foo'), viewed)
}

test('a pod in the mesh: ports of its containers and its sidecar, its Service, the mode with its reason', () => {
  assert.equal(pod(''), `Pod: httpbin-1
   Pod Revision: default
   Pod Ports: 80 (httpbin), 15090 (istio-proxy)
--------------------
Service: httpbin
   Port: http 8000/HTTP targets pod port 80
--------------------
Effective PeerAuthentication:
   Workload mTLS mode: PERMISSIVE
      chosen    mtls.default  nobody said anything: a sidecar takes both mutual TLS and plaintext
`)
})

test('subsets that do not match, ports with a mode of their own, and policies that deny stand there with their names', () => {
  const said = pod(`---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: versions, namespace: foo}
spec: {host: httpbin, subsets: [{name: v2, labels: {version: v2}}], trafficPolicy: {tls: {mode: ISTIO_MUTUAL}, loadBalancer: {simple: RANDOM}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: own, namespace: foo}
spec: {selector: {matchLabels: {app: httpbin}}, mtls: {mode: STRICT}, portLevelMtls: {"80": {mode: DISABLE}}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: foo}
spec: {action: DENY, rules: [{to: [{operation: {methods: [DELETE]}}]}]}
`, 'default')
  for (const line of [
    'DestinationRule: versions.foo for "httpbin"', '   WARNING POD DOES NOT MATCH ANY SUBSETS.  (Non matching subsets v2)', '   Traffic Policy TLS Mode: ISTIO_MUTUAL', '   Policies: load balancer', '   Workload mTLS mode: STRICT', '      80: DISABLE',
    'Applied PeerAuthentication:', '   own.foo', '   DENY: nobody.foo',
  ]) assert.ok(said.split('\n').includes(line), `${line}\nis missing in\n${said}`)
})

test('pods of one Service that take different things are told apart', () => {
  const m = mesh(`---
apiVersion: v1
kind: Pod
metadata: {name: httpbin-2, namespace: foo, labels: {app: httpbin}}
spec: {containers: [{name: httpbin, image: x, ports: [{containerPort: 80}]}]}
status: {phase: Running, podIP: 10.0.0.2}
`)
  const service = m.services.find((s) => s.name === 'httpbin')
  assert.ok(service)
  const said = describeService(m, service, 'foo')
  assert.match(said, /^Pods httpbin-1:$/m)
  assert.match(said, /^Pods httpbin-2:\nEffective PeerAuthentication: none applies without a sidecar/m)
})
