// IST0144: applications that run as the sidecar's own user, so that their traffic is not intercepted. IST0146, IST0147: `image: auto` that nobody replaces.
import { decideInjection } from '#inject'
import { isRecord, type ApiObject, type PodSpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import { isControlPlane, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { injectorWebhooks, webhookSelects } from '../webhooks.ts'

const sidecarUser = 1337

interface Templated {
  readonly object: ApiObject
  readonly spec: PodSpec | undefined
  /** Path of the pod's spec in the object. */
  readonly path: string
}

function withPods(context: AnalysisContext): Templated[] {
  return [
    ...context.all('Pod').map((object) => ({ object, spec: object.spec, path: 'spec' })),
    ...context.all('Deployment').map((object) => ({ object, spec: object.spec.template?.spec, path: 'spec.template.spec' })),
  ]
}

export function applicationUsers(context: AnalysisContext): Problem[] {
  return withPods(context).flatMap(({ object, spec, path }): Problem[] => {
    const { labels } = object.metadata
    if (isControlPlane(labels)) return []
    const raw = spec as unknown
    const containers = isRecord(raw) && Array.isArray(raw['containers']) ? raw['containers'].map((c: unknown, i) => ({ c, at: `${path}.containers[${i}]` })) : []
    const own = containers.filter(({ c }) => isRecord(c) && c['name'] !== 'istio-proxy')
    const found = [{ c: raw, at: path }, ...own].find(({ c }) => runsAs(c) === sidecarUser)
    return found === undefined ? [] : [say('IST0144', 'warning', object, `${found.at}.securityContext.runAsUser`, `User ID (UID) ${sidecarUser} is reserved for the sidecar proxy: what runs under it is not intercepted`, 'let it run under another')]
  })
}

function runsAs(of: unknown): unknown {
  const context = isRecord(of) ? of['securityContext'] : undefined
  return isRecord(context) ? context['runAsUser'] : undefined
}

export function imageAuto(context: AnalysisContext): Problem[] {
  const webhooks = injectorWebhooks(context)
  return withPods(context).flatMap(({ object, spec, path }): Problem[] => {
    const index = (spec?.containers ?? []).findIndex((c) => c.name === 'istio-proxy' && c.image === 'auto')
    if (index === -1) return []
    const at = `${path}.containers[${index}].image`
    if (object.kind === 'Pod') return [say('IST0147', 'error', object, at, `Pod ${object.metadata.name} contains \`image: auto\`, so it has not been injected and can't start`, 'let its namespace or its labels ask for injection, and create it again')]
    return willBeInjected(context, object, webhooks) ? [] : [say('IST0146', 'warning', object, at, `Deployment ${object.metadata.name} contains \`image: auto\`, and its pods will not be injected`, 'label the namespace istio-injection=enabled, or the template sidecar.istio.io/inject: "true"')]
  })
}

/** By the webhooks where the files hold some, else by the default revision's rules. */
function willBeInjected(context: AnalysisContext, deployment: ApiObject, webhooks: ReturnType<typeof injectorWebhooks>): boolean {
  const { namespace } = deployment.metadata
  const template = (deployment.spec as { readonly template?: { readonly metadata?: { readonly labels?: Readonly<Record<string, string>>; readonly annotations?: Readonly<Record<string, string>> } } }).template?.metadata
  const [labels, namespaceLabels] = [template?.labels ?? {}, context.namespaceLabels(namespace) ?? {}]
  if (webhooks.length > 0) return webhooks.some((w) => webhookSelects(w, namespaceLabels, labels))
  return decideInjection({ labels, annotations: template?.annotations ?? {}, namespace, namespaceLabels }).value
}
