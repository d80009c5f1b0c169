// IST0145: Gateways that claim one host on one port of the same pods. IST0138: that serve one certificate, so that clients reuse connections across them.
// Istio: pkg/config/analysis/analyzers/gateway, ConflictingGatewayAnalyzer and CertificateAnalyzer.
import type { Gateway } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, selectorText, type AnalysisContext, type Labels } from '../context.ts'
import { notFound, say } from '../problem.ts'

type Tls = NonNullable<NonNullable<Gateway['spec']['servers']>[number]['tls']>

const selectorOf = (gateway: Gateway): Labels => gateway.spec.selector ?? {}

export function conflictingGateways(context: AnalysisContext): Problem[] {
  const all = context.all('Gateway')
  return all.flatMap((gateway): Problem[] => {
    const rivals = all.filter((other) => (other.spec.servers ?? []).length > 0 && sharePods(context, selectorOf(gateway), selectorOf(other)))
    if (rivals.length === 0) return Object.keys(selectorOf(gateway)).length === 0 ? [] : [notFound(gateway, 'spec.selector', 'selector', selectorText(selectorOf(gateway)), 'a Gateway with servers')]
    return (gateway.spec.servers ?? []).flatMap((server, i): Problem[] => {
      const meets = (other: Gateway): boolean => other !== gateway && (other.spec.servers ?? []).some((theirs) => theirs.port?.number === server.port?.number && (theirs.bind ?? '') === (server.bind ?? '') && (theirs.hosts ?? []).some((h) => server.hosts?.includes(h) === true))
      const names = rivals.filter(meets).map(fullName).toSorted()
      return names.length === 0 ? [] : [say('IST0145', 'error', gateway, `spec.servers[${i}]`, `Conflict with gateways ${names.join(', ')}: the same pods (${selectorText(selectorOf(gateway))}), port ${server.port?.number ?? 0} and hosts ${server.hosts?.join(', ') ?? ''}`, 'merge the servers, or give them other hosts')]
    })
  })
}

/** The same selector, or one that holds the other and a pod that both find. */
function sharePods(context: AnalysisContext, a: Labels, b: Labels): boolean {
  const [x, y] = [selectorText(a), selectorText(b)]
  if (x === y) return true
  return (x.includes(y) || y.includes(x)) && context.all('Pod').some((p) => covers(a, p.metadata.labels) && covers(b, p.metadata.labels))
}

export function duplicateCertificates(context: AnalysisContext): Problem[] {
  const all = context.all('Gateway')
  return all.flatMap((gateway): Problem[] => {
    const others = all.filter((other) => other !== gateway && covers(selectorOf(gateway), selectorOf(other)))
    const twin = others.find((other) => gateway.spec.servers?.some((s) => other.spec.servers?.some((t) => s.tls !== undefined && t.tls !== undefined && sameCertificate(s.tls, t.tls)) === true) === true)
    return twin === undefined ? [] : [say('IST0138', 'warning', gateway, 'metadata.name', `The Gateways ${fullName(gateway)} and ${fullName(twin)} serve the same certificate: a client that reuses an HTTP/2 connection of one for a host of the other gets 404`, 'serve them by one Gateway')]
  })
}

function sameCertificate(a: Tls, b: Tls): boolean {
  const [x, y] = [a.credentialName ?? '', b.credentialName ?? '']
  if (x !== '' || y !== '') return x === y
  const same = (name: 'serverCertificate' | 'privateKey'): boolean => (a[name] ?? '') !== '' && a[name] === b[name]
  return same('serverCertificate') && same('privateKey')
}
