// The Helm chart: `npm run chart -- --out DIR`. Its templates stand beside this file; what has one source already is made from it: values, definitions, roles, webhooks.
// Law: `helm template` of it gives what `kith manifest generate` gives for the same values (test/chart).
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { stringify } from 'yaml'
import { customResourceDefinitions, defaultValues, manifests, resolveValues, settingsOf, tagObjects, valuesSchema } from '#deploy'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { version } from '#lib/version.ts'

const { values: flags } = parseArgs({ options: { out: { type: 'string' } } })
if (flags.out === undefined) throw new Error('--out DIR is needed')
const out = join(flags.out, 'kith')

const yaml = (value: unknown): string => stringify(value, { lineWidth: 0, aliasDuplicateObjects: false })
const [revision, namespace, tag] = ['rev-placeholder', 'namespace-placeholder', 'tag-placeholder']

/** Names that are known only when the chart is used. */
function withNames(text: string): string {
  return text
    .replaceAll(`istio-sidecar-injector-${revision}-${namespace}`, 'istio-sidecar-injector-{{ $revision }}{{ $namespaceSuffix }}').replaceAll(`istio-sidecar-injector-${namespace}`, 'istio-sidecar-injector{{ $namespaceSuffix }}')
    .replaceAll(`istio-revision-tag-${tag}-${namespace}`, 'istio-revision-tag-{{ $tag }}{{ $namespaceSuffix }}').replaceAll(`istio-revision-tag-default-${namespace}`, 'istio-revision-tag-default{{ $namespaceSuffix }}')
    .replaceAll(revision, '{{ $revision }}').replaceAll(namespace, '{{ $namespace }}').replaceAll(tag, '{{ $tag }}')
}

const head = `{{- $revision := include "kith.revision" . }}{{- $namespace := .Release.Namespace }}{{- $namespaceSuffix := include "kith.namespaceSuffix" . }}\n`
const isDefault = 'eq $revision "default"'
const either = (condition: string, yes: string, no: string): string => `{{- if ${condition} }}\n${yes}{{- else }}\n${no}{{- end }}\n`

function valuesOf(own: string, byDefault = false): typeof defaultValues {
  return resolveValues([{ from: 'chart', value: { revision: own, global: { istioNamespace: namespace }, sidecarInjectorWebhook: { enableNamespacesByDefault: byDefault } } }]).values
}

function text(objects: readonly KubernetesObject[]): string {
  return withNames(objects.map((o) => `---\n${yaml(o)}`).join(''))
}

function generated(kinds: readonly string[], own: string, byDefault = false): string {
  return text(manifests(valuesOf(own, byDefault)).filter((o) => kinds.includes(o.kind)))
}

const roles = ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding']
const webhooks = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']
const tagText = (own: string, of: string): string => text(tagObjects(settingsOf(valuesOf(own)), of))

cpSync(join(import.meta.dirname, 'templates'), join(out, 'templates'), { recursive: true })
mkdirSync(join(out, 'crds'), { recursive: true })
const file = (path: string, content: string): void => writeFileSync(join(out, path), content)
const { revision: _revision, ...rest } = defaultValues
file('Chart.yaml', yaml({ apiVersion: 'v2', name: 'kith', description: 'The control plane of Kith, a service mesh that speaks Istio’s API.', type: 'application', version, appVersion: version, kubeVersion: '>=1.29.0-0', keywords: ['istio', 'service mesh', 'mtls'] }))
file('values.yaml', yaml({ revision: '', ...rest }))
// global comes from a chart above where this one is a part; --set of what nobody reads is refused by Helm itself.
file('values.schema.json', JSON.stringify(valuesSchema(), null, 2) + '\n')
for (const crd of customResourceDefinitions()) file(`crds/${crd.metadata.name}.yaml`, yaml(crd))
const enabled = (content: string): string => `{{- if .Values.pilot.enabled }}\n${head}${content}{{- end }}\n`
file('templates/roles.yaml', enabled(either(isDefault, generated(roles, ''), generated(roles, revision))))
file('templates/webhooks.yaml', enabled(either(isDefault, either('.Values.sidecarInjectorWebhook.enableNamespacesByDefault', generated(webhooks, '', true), generated(webhooks, '')), generated(webhooks, revision))))
file('templates/tags.yaml', enabled(`{{- range $tag := .Values.revisionTags }}\n${either('eq $tag "default"', either(isDefault, tagText('', 'default'), tagText(revision, 'default')), either(isDefault, tagText('', tag), tagText(revision, tag)))}{{- end }}\n`))
process.stdout.write(`${out}\n`)
