// IST0101: Gateways whose selector finds no pod, and credentials that are not where the gateway's pods are; IST0161: that are none.
// IST0162: ports that no Service leads to. Istio: pkg/config/analysis/analyzers/gateway.
import { isRecord, type ApiObject, type Gateway } from '#api'
import { certificateBlocks, parseCertificates, timeProblem } from '#identity'
import type { Problem } from '#lib/problem.ts'
import { covers, selectorText, type AnalysisContext, type Labels } from '../context.ts'
import { notFound, say } from '../problem.ts'

export function gateways(context: AnalysisContext): Problem[] {
  return context.all('Gateway').flatMap((gateway): Problem[] => {
    const selector = gateway.spec.selector ?? {}
    const pods = context.all('Pod').filter((p) => covers(selector, p.metadata.labels))
    const [pod] = pods
    if (pod === undefined && context.templates.some((t) => covers(selector, t.labels))) return []
    if (pod === undefined) return [notFound(gateway, 'spec.selector', 'selector', selectorText(selector))]
    return [...credentials(context, gateway, pod.metadata.namespace), ...ports(context, gateway, pods)]
  })
}

function credentials(context: AnalysisContext, gateway: Gateway, namespace: string): Problem[] {
  return (gateway.spec.servers ?? []).flatMap((server, i): Problem[] => {
    const name = server.tls?.credentialName ?? ''
    if (name === '') return []
    const at = `spec.servers[${i}].tls.credentialName`
    const full = name.includes('/') ? name : `${namespace}/${name}`
    const secret = context.all('Secret').find((s) => `${s.metadata.namespace}/${s.metadata.name}` === full)
    if (secret === undefined) return [notFound(gateway, at, 'credentialName', name, `a Secret in ${full.split('/')[0]}, where the gateway’s pods are`)]
    const fault = credentialFault(secret, context.now)
    return fault === undefined ? [] : [say('IST0161', 'error', gateway, at, `The credential ${name} of the Gateway is invalid: ${fault}`)]
  })
}

/** As far as the gateway would come with it: certificate and key under one pair of names, and a certificate that holds now. */
function credentialFault(secret: ApiObject, now: Date | undefined): string | undefined {
  const read = (key: string): string => {
    const [data, plain] = [secret.raw['data'], secret.raw['stringData']]
    if (isRecord(plain) && typeof plain[key] === 'string') return plain[key]
    return isRecord(data) && typeof data[key] === 'string' ? Buffer.from(data[key], 'base64').toString('utf8') : ''
  }
  const pair = ([['cert', 'key'], ['tls.crt', 'tls.key']] as const).find(([cert, key]) => read(cert) !== '' && read(key) !== '')
  if (pair === undefined) return `the Secret ${secret.metadata.name} has neither cert and key nor tls.crt and tls.key`
  try {
    const [certificate] = parseCertificates(certificateBlocks(read(pair[0]))[0] ?? '')
    const why = certificate === undefined || now === undefined ? undefined : timeProblem(certificate, now.getTime())
    return why === undefined ? undefined : `${pair[0]} of the Secret ${secret.metadata.name}: ${why}`
  } catch {
    return `${pair[0]} of the Secret ${secret.metadata.name} is no certificate`
  }
}

function ports(context: AnalysisContext, gateway: Gateway, pods: readonly { readonly metadata: { readonly namespace: string; readonly labels: Labels } }[]): Problem[] {
  const open = new Set<number>()
  for (const { metadata, spec } of context.all('Service')) {
    const selector = spec.selector ?? {}
    // Of a Service without selector nobody knows where it leads.
    if (!pods.some((p) => p.metadata.namespace === metadata.namespace && covers(selector, p.metadata.labels))) continue
    for (const port of spec.ports ?? []) {
      if (port.protocol !== undefined && port.protocol !== 'TCP') continue
      open.add(Number(port.port))
      const target = Number(port.targetPort ?? port.port)
      if (target > 0) open.add(target)
    }
  }
  return (gateway.spec.servers ?? []).flatMap((server, i): Problem[] => {
    const number = server.port?.number
    if (server.port === undefined || open.has(number ?? 0)) return []
    return [say('IST0162', 'warning', gateway, `spec.servers[${i}].port.number`, `The gateway listens on port ${number ?? 0}, which no Service of its pods (${selectorText(gateway.spec.selector ?? {})}) leads to`, 'add the port to the Service')]
  })
}
