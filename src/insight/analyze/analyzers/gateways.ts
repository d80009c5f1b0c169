// IST0101: Gateways whose selector finds no pod, and credentials that are not where the gateway's pods are.
import type { Problem } from '#lib/problem.ts'
import { covers, selectorText, type AnalysisContext } from '../context.ts'
import { notFound } from '../problem.ts'

export function gateways(context: AnalysisContext): Problem[] {
  const secrets = new Set(context.all('Secret').map((s) => `${s.metadata.namespace}/${s.metadata.name}`))
  return context.all('Gateway').flatMap((gateway): Problem[] => {
    const selector = gateway.spec.selector ?? {}
    const pod = context.all('Pod').find((p) => covers(selector, p.metadata.labels))
    if (pod === undefined) return [notFound(gateway, 'spec.selector', 'selector', selectorText(selector))]
    return (gateway.spec.servers ?? []).flatMap((server, i): Problem[] => {
      const name = server.tls?.credentialName ?? ''
      const full = name.includes('/') ? name : `${pod.metadata.namespace}/${name}`
      return name === '' || secrets.has(full) ? [] : [notFound(gateway, `spec.servers[${i}].tls.credentialName`, 'credentialName', name, `a Secret in ${full.split('/')[0]}, where the gateway’s pods are`)]
    })
  })
}
