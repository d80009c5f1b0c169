// Of the DestinationRules that speak of a call's host: why the others do not apply.
import { refTo, type DestinationRule } from '#api'
import { formatRef } from '#lib/problem.ts'
import { hostCovers, isVisible, resolveHost, selectorCovers } from '#mesh'
import type { Question } from './question.ts'
import type { Explanation, NotApplied } from './types.ts'

export function rulesNotApplied(q: Question, answer: Explanation): NotApplied[] {
  const host = answer.client.destination?.host
  return host === undefined ? [] : rulesFor(q, host)
}

/** Why this rule does not apply to calls to the host; undefined: it does, or speaks of another. */
export function ruleNotApplied(q: Question, host: string, rule: DestinationRule): NotApplied | undefined {
  return rulesFor(q, host).find(
    (n) => n.source.name === rule.metadata.name && n.source.namespace === rule.metadata.namespace,
  )
}

/** By the host that the route leads to. */
function rulesFor(q: Question, host: string): NotApplied[] {
  const { mesh, client } = q
  const seen = q.context.scope.byHost.get(host)
  const inForce = (seen === undefined ? undefined : q.context.ruleFor(seen)?.from) ?? []
  const service = seen ?? mesh.servicesByHost.get(host)?.[0]
  return mesh.destinationRules.flatMap((rule): NotApplied[] => {
    const { namespace } = rule.metadata
    if (inForce.includes(rule)) return []
    const covers = hostCovers(resolveHost(rule.spec.host ?? '', namespace, mesh.options.domain), host)
    if (!covers)
      return (rule.spec.host ?? '').split('.')[0] === host.split('.')[0]
        ? [{ source: refTo(rule, 'spec.host'), why: `host ${rule.spec.host ?? ''} is not ${host}` }]
        : []
    const selector = rule.spec.workloadSelector
    if (selector !== undefined && namespace !== client.namespace)
      return [
        {
          source: refTo(rule, 'spec.workloadSelector'),
          why: `a rule with a workloadSelector is private to its namespace, ${namespace}`,
        },
      ]
    if (selector !== undefined && !selectorCovers(selector.matchLabels ?? {}, client.labels))
      return [
        {
          source: refTo(rule, 'spec.workloadSelector'),
          why: `workloadSelector does not cover ${client.name}.${client.namespace}`,
        },
      ]
    if (
      !isVisible(
        rule.spec.exportTo ?? [],
        namespace,
        client.namespace,
        mesh.options.config.defaultDestinationRuleExportTo ?? [],
      )
    )
      return [
        {
          source: refTo(rule, 'spec.exportTo'),
          why: `it is exported to ${(rule.spec.exportTo ?? []).join(', ')}, not to ${client.namespace}`,
        },
      ]
    const looked = [client.namespace, service?.namespace ?? '', mesh.options.rootNamespace]
    if (!looked.includes(namespace))
      return [
        {
          source: refTo(rule),
          why: `rules are looked up in ${looked.filter((n) => n !== '').join(', ')}; it is in ${namespace}`,
        },
      ]
    return [{ source: refTo(rule), why: whoComesFirst(q, rule, inForce[0], looked) }]
  })
}

/**
 * The caller's namespace before the service's before the root's, an exact host before a wildcard, a rule for
 * chosen workloads before the others, the oldest first.
 */
function whoComesFirst(
  { mesh }: Question,
  rule: DestinationRule,
  first: DestinationRule | undefined,
  looked: readonly string[],
): string {
  if (first === undefined)
    return `a rule for a host that fits better hides it: ${resolveHost(rule.spec.host ?? '', rule.metadata.namespace, mesh.options.domain)} is a wildcard`
  const name = formatRef(refTo(first))
  const at = (r: DestinationRule): number => looked.indexOf(r.metadata.namespace)
  if (at(first) < at(rule))
    return `${name} comes first: rules in ${first.metadata.namespace} are looked up before those in ${rule.metadata.namespace}`
  if ((rule.spec.host ?? '').startsWith('*') && !(first.spec.host ?? '').startsWith('*'))
    return `${name} comes first: it names the host itself, not a wildcard`
  if (first.spec.workloadSelector !== undefined && rule.spec.workloadSelector === undefined)
    return `${name} hides it: its workloadSelector names this caller, and a rule with one takes the place of those without`
  return `${name} comes first: it is older (or first by name), and theirs are not merged`
}
