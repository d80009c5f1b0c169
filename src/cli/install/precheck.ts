// What could keep an installation from working, asked of the API server. Law: asks only; what can't be asked is itself an answer.
import { isRecord } from '#api'
import { KithError } from '#lib/errors.ts'
import { resourcesOf } from '#lib/kubernetes/answers.ts'
import { knownResource } from '#lib/kubernetes/kinds.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Problem, Severity } from '#lib/problem.ts'
import { fieldManager } from './apply.ts'
import type { InstallPlan } from './plan-install.ts'
import { foreignControlPlane } from './stages.ts'
import { failedWebhookCalls } from './webhook-calls.ts'

/** Rules in definitions (CEL) and native sidecars are there from this one on. */
const oldestMinor = 29
const neededApis = ['admissionregistration.k8s.io/v1', 'apiextensions.k8s.io/v1', 'authentication.k8s.io/v1', 'coordination.k8s.io/v1', 'discovery.k8s.io/v1', 'policy/v1']

export async function precheck(client: KubernetesClient, plan: InstallPlan): Promise<readonly Problem[]> {
  const checks = [versionOf, apis, permissions, otherMesh, definitions, podSecurity, webhookCalls]
  const found = await Promise.all(checks.map(async (check) => {
    try {
      return await check(client, plan)
    } catch (error) {
      if (error instanceof KithError && error.code === 'K8S_FORBIDDEN') return [say('IST0141', 'warning', `this can't be checked: ${error.message}`)]
      throw error
    }
  }))
  return found.flat()
}

async function versionOf(client: KubernetesClient): Promise<Problem[]> {
  const answer = await client.request('GET', '/version')
  if (!isRecord(answer) || typeof answer['gitVersion'] !== 'string') throw new KithError('K8S_FAILED', 'GET /version: the answer names no version: this is no API server, or a proxy before it answers in its place')
  const { major, minor, gitVersion } = answer as { major?: string; minor?: string; gitVersion?: string }
  const isOld = major === '1' && Number(/^\d+/.exec(minor ?? '')?.[0] ?? 0) < oldestMinor
  return isOld ? [say('IST0142', 'error', `The Kubernetes Version "${gitVersion ?? ''}" is lower than the minimum version: v1.${oldestMinor}`)] : []
}

async function apis(client: KubernetesClient): Promise<Problem[]> {
  const answers = await Promise.all(neededApis.map(async (api) => [api, await client.request('GET', `/apis/${api}`).then((a) => resourcesOf(a, `GET /apis/${api}`).length > 0, (e: unknown) => {
    if (e instanceof KithError && e.code === 'K8S_NOT_FOUND') return false
    throw e
  })] as const))
  return answers.filter(([, there]) => !there).map(([api]) => say('KITH0042', 'error', `the API server does not serve ${api}`, api.startsWith('admission') ? 'sidecars are added by a mutating webhook: enable the admission API' : undefined))
}

/** One question for each kind that an installation writes. */
async function permissions(client: KubernetesClient, { objects }: InstallPlan): Promise<Problem[]> {
  const kinds = new Map(objects.map((o) => [`${o.apiVersion}/${o.kind}/${o.metadata.namespace ?? ''}`, o]))
  const answers = await Promise.all([...kinds.values()].flatMap((o) => ['create', 'patch'].map(async (verb) => ({ o, verb, allowed: await mayI(client, o, verb) }))))
  const missing = Map.groupBy(answers.filter((a) => !a.allowed), (a) => `${a.o.kind} ${a.o.metadata.namespace ?? ''}`)
  return [...missing.values()].map((of) => {
    const { o } = of[0] as (typeof answers)[number]
    return say('IST0141', 'error', `Missing required permission to ${of.map((a) => a.verb).join(' and ')} resource ${groupOf(o.apiVersion)}${o.kind}${o.metadata.namespace === undefined ? '' : ` in namespace ${o.metadata.namespace}`}`, 'whoever installs needs the rights of a cluster administrator')
  })
}

async function mayI(client: KubernetesClient, { apiVersion, kind, metadata }: KubernetesObject, verb: string): Promise<boolean> {
  const resource = knownResource(apiVersion, kind)?.plural
  if (resource === undefined) return true
  const group = groupOf(apiVersion).replace(/\/$/, '')
  const answer = await client.create({
    apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', metadata: {},
    spec: { resourceAttributes: { group, resource, verb, ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }) } },
  })
  return isRecord(answer['status']) && answer['status']['allowed'] === true
}

const groupOf = (apiVersion: string): string => (apiVersion.includes('/') ? `${apiVersion.slice(0, apiVersion.indexOf('/'))}/` : '')

async function otherMesh(client: KubernetesClient, plan: InstallPlan): Promise<Problem[]> {
  const problems: Problem[] = []
  const foreign = await foreignControlPlane(client, plan)
  if (foreign !== undefined) problems.push(say('KITH0043', 'error', `Deployment ${plan.namespace}/${plan.name} was not made by kith: another control plane runs here under the same name`, 'install beside it with --revision NAME, or remove it first'))
  const hooks = (await client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration' })).items
  for (const hook of hooks) {
    const { labels, name = '' } = hook.metadata
    if (labels?.['app'] !== 'sidecar-injector' || labels['app.kubernetes.io/managed-by'] === 'kith') continue
    const ours = plan.objects.some((o) => o.kind === hook.kind && o.metadata.name === name)
    problems.push(say('KITH0043', ours ? 'error' : 'info', `MutatingWebhookConfiguration ${name} belongs to another injector${ours ? '' : `, for revision ${labels['istio.io/rev'] ?? 'default'}`}`, ours ? 'remove it, or install with --revision NAME' : 'a namespace should carry the label of one of the two only'))
  }
  return problems
}

/** What the API server would say to the definitions: those of a real Istio are there under the same names. */
async function definitions(client: KubernetesClient, { objects }: InstallPlan): Promise<Problem[]> {
  const crds = objects.filter((o) => o.kind === 'CustomResourceDefinition')
  const answers = await Promise.all(crds.map(async (crd) => client.apply(crd, { dryRun: true, fieldManager }).then(() => undefined, (error: unknown) => {
    if (error instanceof KithError && (error.code === 'K8S_CONFLICT' || error.code === 'K8S_INVALID')) return { crd, error }
    throw error
  })))
  const refused = answers.filter((a) => a !== undefined)
  const conflicts = refused.filter((r) => r.error.code === 'K8S_CONFLICT')
  const managers = [...new Set(conflicts.flatMap((c) => [...c.error.message.matchAll(/conflicts? with "([^"]+)"/g)].map((m) => m[1] as string)))]
  return [
    ...refused.filter((r) => r.error.code === 'K8S_INVALID').map((r) => say('KITH0044', 'error', `CustomResourceDefinition ${r.crd.metadata.name ?? ''} would be refused: ${r.error.message}`)),
    ...(conflicts.length === 0 ? [] : [say('KITH0044', 'warning', `${conflicts.length} definitions of the mesh's kinds are there already, set by ${managers.join(', ') || 'others'}: ${conflicts.slice(0, 3).map((c) => c.crd.metadata.name).join(', ')}${conflicts.length > 3 ? ' …' : ''}`, 'install --force takes them over; objects of these kinds stay as they are')]),
  ]
}

/** The init container that redirects needs NET_ADMIN, which these levels forbid. */
async function podSecurity(client: KubernetesClient): Promise<Problem[]> {
  const namespaces = (await client.list({ apiVersion: 'v1', kind: 'Namespace' })).items
  return namespaces.flatMap((n) => {
    const labels = n.metadata.labels ?? {}
    const level = labels['pod-security.kubernetes.io/enforce']
    const injected = labels['istio-injection'] === 'enabled' || labels['istio.io/rev'] !== undefined
    if (!injected || level === undefined || level === 'privileged') return []
    return [say('KITH0045', 'warning', `namespace ${n.metadata.name ?? ''} asks for sidecars and enforces pod security "${level}", which refuses the init container that redirects traffic`, 'relax it there (pod-security.kubernetes.io/enforce=privileged), or redirect by a CNI plugin')]
  })
}

async function webhookCalls(client: KubernetesClient, plan: InstallPlan): Promise<Problem[]> {
  const failed = await failedWebhookCalls(client, plan)
  const help = `kubectl logs -n ${plan.namespace} -l app=istiod says why; its /ready on port 15014 says whether the caBundle verifies it`
  return failed.map((said) => say('KITH0046', 'error', `the API server can't call a webhook of the control plane that runs: ${said}`, help))
}

function say(code: string, severity: Severity, message: string, help?: string): Problem {
  return { code, severity, ref: { kind: '', namespace: '', name: '', path: '' }, message, ...(help === undefined ? {} : { help }) }
}
