// IST0139: two injector webhooks that select the same pods (injected twice), or one whose control plane does not exist.
import type { Problem } from '#lib/problem.ts'
import { injectKey, type AnalysisContext, type Labels } from '../context.ts'
import { say } from '../problem.ts'
import { injectorWebhooks, revisionsOf, webhookSelects } from '../webhooks.ts'

/** One label, each of its values, and without it. */
const labelled = (key: string, values: readonly string[]): Labels[] => [{}, ...values.map((v) => ({ [key]: v }))]
const times = (a: readonly Labels[], b: readonly Labels[]): Labels[] => a.flatMap((x) => b.map((y) => ({ ...x, ...y })))

export function webhookConfigurations(context: AnalysisContext): Problem[] {
  const webhooks = injectorWebhooks(context)
  const revisions = labelled('istio.io/rev', [...revisionsOf(webhooks)])
  const overlapping = new Map<number, Set<string>>()
  for (const namespace of times(labelled('istio-injection', ['enabled', 'disabled']), revisions)) {
    for (const pod of times(labelled(injectKey, ['true', 'false']), revisions)) {
      const met = [...webhooks.keys()].filter((i) => webhookSelects(webhooks[i] as (typeof webhooks)[number], namespace, pod))
      if (met.length < 2) continue
      for (const i of met) for (const other of met) if (other !== i) overlapping.set(i, (overlapping.get(i) ?? new Set()).add((webhooks[other] as (typeof webhooks)[number]).name))
    }
  }
  const services = new Set(context.all('Service').map((s) => `${s.metadata.namespace}/${s.metadata.name}`))
  return webhooks.flatMap((w, i): Problem[] => {
    const at = `webhooks[${w.index}]`
    const others = overlapping.get(i)
    const missing = w.service !== undefined && !services.has(`${w.service.namespace}/${w.service.name}`) ? `${w.service.namespace}/${w.service.name}` : undefined
    return [
      ...(others === undefined ? [] : [say('IST0139', 'error', w.object, at, `Webhook ${w.name} overlaps with others: ${[...others].sort().join(', ')}. This may cause injection to occur twice`, 'one of them must not select what the other does')]),
      ...(missing === undefined ? [] : [say('IST0139', 'error', w.object, `${at}.clientConfig.service`, `Injector refers to a control plane service that does not exist: ${missing}`, 'pods that it selects can’t be created until it does')]),
    ]
  })
}
