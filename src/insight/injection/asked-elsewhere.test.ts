import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeObjects, parseYaml } from '#sources'
import { injectionAskedElsewhere } from './asked-elsewhere.ts'

const inject = 'sidecar.istio.io/inject'
const namespace = (meta = ''): string => `{apiVersion: v1, kind: Namespace, metadata: {name: foo${meta}}}`
const plain = namespace()
const enabled = namespace(', labels: {istio-injection: enabled}')
const template = (meta: string): string => `template: {metadata: {${meta}}, spec: {containers: [{name: a, image: x}]}}`
const deployment = (meta = '', ofPod = '', kind = 'Deployment'): string => `{apiVersion: apps/v1, kind: ${kind}, metadata: {name: web, namespace: foo${meta}}, spec: {${template(ofPod)}}}`
const cron = (meta: string, job: string, ofPod = ''): string => `{apiVersion: batch/v1, kind: CronJob, metadata: {name: web, namespace: foo${meta}}, spec: {jobTemplate: {metadata: {${job}}, spec: {${template(ofPod)}}}}}`
const pod = (meta: string, containers = '{name: a}', status = '{phase: Running, podIP: 10.0.0.1}'): string =>
  `{apiVersion: v1, kind: Pod, metadata: {name: web-5d4f9-x, namespace: foo, creationTimestamp: "2026-01-01T00:00:00Z"${meta}}, spec: {containers: [${containers}]}, status: ${status}}`
const owned = `, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-5d4f9, uid: u, controller: true}]`

function said(...texts: readonly string[]): readonly (readonly [string, string])[] {
  return injectionAskedElsewhere(decodeObjects(parseYaml(texts.join('\n---\n'), 'f.yaml').documents).objects).map((p) => [`${p.ref.kind} ${p.ref.path}`, p.help ?? ''])
}

const cases: readonly (readonly [string, readonly string[], readonly (readonly [string, RegExp])[]])[] = [
  ['a label on the Deployment', [plain, deployment(`, labels: {${inject}: "true"}`)], [[`Deployment metadata.labels.${inject}`, /write sidecar\.istio\.io\/inject: "true" to spec\.template\.metadata\.labels/]]],
  ['on a StatefulSet', [plain, deployment(`, labels: {${inject}: "true"}`, '', 'StatefulSet')], [[`StatefulSet metadata.labels.${inject}`, /to spec\.template\.metadata\.labels/]]],
  ['against a sidecar', [enabled, deployment(`, labels: {${inject}: "false"}`)], [[`Deployment metadata.labels.${inject}`, /"false" to spec\.template/]]],
  ['a revision on the Deployment', [plain, deployment(', labels: {istio.io/rev: canary}')], [['Deployment metadata.labels.istio.io/rev', /"canary" to spec\.template/]]],
  ['an annotation on the Deployment', [enabled, deployment(`, annotations: {${inject}: "false"}`)], [[`Deployment metadata.annotations.${inject}`, /to spec\.template\.metadata\.labels/]]],
  ['on a CronJob and its Job', [plain, cron(`, labels: {${inject}: "true"}`, `labels: {${inject}: "true"}`)], [
    [`CronJob metadata.labels.${inject}`, /spec\.jobTemplate\.spec\.template\.metadata\.labels/], [`CronJob spec.jobTemplate.metadata.labels.${inject}`, /spec\.jobTemplate\.spec\.template\.metadata\.labels/]]],
  ['a label on both', [plain, deployment(`, labels: {${inject}: "true"}`, `labels: {${inject}: "true"}`)], []],
  ['a label that changes nothing', [enabled, deployment(`, labels: {${inject}: "true"}`)], []],
  ['an annotation where a label counts', [plain, deployment('', `annotations: {${inject}: "true"}`)], [[`Deployment spec.template.metadata.annotations.${inject}`, /make it a label: .*"true" in spec\.template\.metadata\.labels/]]],
  ['an annotation that counts', [enabled, deployment('', `annotations: {${inject}: "false"}`)], []],
  ['a revision as an annotation', [plain, pod(', annotations: {istio.io/rev: canary}')], [['Pod metadata.annotations.istio.io/rev', /make it a label/]]],
  ['the namespace’s label on the pod', [plain, deployment('', 'labels: {istio-injection: enabled}')], [['Deployment spec.template.metadata.labels.istio-injection', /inject: "true" to spec\.template\.metadata\.labels, or label the namespace/]]],
  ['a word that is none', [enabled, deployment('', `labels: {${inject}: "yes"}`)], [[`Deployment spec.template.metadata.labels.${inject}`, /"true" or "false"/]]],
  ['the pod’s label on the namespace', [namespace(`, labels: {${inject}: "true"}`)], [[`Namespace metadata.labels.${inject}`, /istio-injection: enabled to metadata\.labels/]]],
  ['an annotation on the namespace', [namespace(', annotations: {istio-injection: enabled}')], [['Namespace metadata.annotations.istio-injection', /to metadata\.labels/]]],
  ['a word that is none on the namespace', [namespace(', labels: {istio-injection: "true"}')], [['Namespace metadata.labels.istio-injection', /istio-injection: enabled/]]],
  ['a pod older than its namespace’s label', [enabled, pod(owned + ', labels: {pod-template-hash: 5d4f9}')], [['Pod ', /^kubectl rollout restart deployment web -n foo$/]]],
  ['a pod by itself', [enabled, pod('')], [['Pod ', /^delete it and create it again$/]]],
  ['a pod older than its own label', [plain, pod(`, labels: {${inject}: "true"}`)], [['Pod ', /delete it/]]],
  ['a sidecar older than the label against it', [enabled, pod(`, labels: {${inject}: "false"}`, '{name: a}, {name: istio-proxy}')], [['Pod ', /delete it/]]],
  ['a pod that has what it asks for', [enabled, pod('', '{name: a}, {name: istio-proxy}')], []],
  ['a pod of another revision that waits for its webhook', [namespace(', labels: {istio.io/rev: canary}'), pod('', '{name: a}, {name: istio-proxy}')], []],
  ['a pod that has ended', [enabled, pod('', '{name: a}', '{phase: Succeeded}')], []],
  ['nothing asked', [plain, deployment(), pod('')], []],
]

test('where a sidecar is asked for in vain, and where that belongs', () => {
  for (const [what, texts, expected] of cases) {
    const found = said(...texts)
    assert.deepEqual(found.map(([at]) => at), expected.map(([at]) => at), what)
    found.forEach(([, help], i) => assert.match(help, (expected[i] as readonly [string, RegExp])[1], what))
  }
})
