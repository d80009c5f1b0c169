// IST0145: Gateways that claim one host on one port of the same pods. IST0138: that serve one certificate, so that clients reuse connections across them.
// Istio: pkg/config/analysis/analyzers/gateway, ConflictingGatewayAnalyzer and CertificateAnalyzer.
import type { Gateway } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, selectorText, type AnalysisContext, type Labels } from '../context.ts'
import { notFound, say } from '../problem.ts'

const selectorOf = (gateway: Gateway): Labels => gateway.spec.selector ?? {}

export function conflictingGateways(context: AnalysisContext): Problem[] {
  const all = context.all('Gateway')
  // Few selectors, many Gateways: what is asked of selectors is asked once.
  const bySelector = Map.groupBy(all, (gateway) => selectorText(selectorOf(gateway)))
  const rivalsOf = new Map([...bySelector].map(([text, [first]]) => [text, [...bySelector].filter(([, [other]]) => first !== undefined && other !== undefined && sharePods(context, selectorOf(first), selectorOf(other))).flatMap(([, group]) => group).filter((g) => (g.spec.servers ?? []).length > 0)]))
  const byPort = new Map([...rivalsOf].map(([text, rivals]) => [text, Map.groupBy(rivals.flatMap((gateway) => (gateway.spec.servers ?? []).map((server) => ({ gateway, server }))), ({ server }) => server.port?.number)]))
  return all.flatMap((gateway): Problem[] => {
    const text = selectorText(selectorOf(gateway))
    const rivals = rivalsOf.get(text) ?? []
    if (rivals.length === 0) return text === '' ? [] : [notFound(gateway, 'spec.selector', 'selector', text, 'a Gateway with servers')]
    return (gateway.spec.servers ?? []).flatMap((server, i): Problem[] => {
      const hosts = new Set(server.hosts)
      const meeting = (byPort.get(text)?.get(server.port?.number) ?? []).filter((their) => their.gateway !== gateway && (their.server.bind ?? '') === (server.bind ?? '') && their.server.hosts?.some((h) => hosts.has(h)) === true)
      const names = [...new Set(meeting.map((m) => fullName(m.gateway)))].toSorted()
      return names.length === 0 ? [] : [say('IST0145', 'error', gateway, `spec.servers[${i}]`, `Conflict with gateways ${names.join(', ')}: the same pods (${text}), port ${server.port?.number ?? 0} and hosts ${server.hosts?.join(', ') ?? ''}`, 'merge the servers, or give them other hosts')]
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
  const byCertificate = Map.groupBy(all.flatMap((gateway) => certificatesOf(gateway).map((key) => ({ gateway, key }))), ({ key }) => key)
  return all.flatMap((gateway): Problem[] => {
    const twin = certificatesOf(gateway).flatMap((key) => byCertificate.get(key) ?? []).find((other) => other.gateway !== gateway && covers(selectorOf(gateway), selectorOf(other.gateway)))?.gateway
    return twin === undefined ? [] : [say('IST0138', 'warning', gateway, 'metadata.name', `The Gateways ${fullName(gateway)} and ${fullName(twin)} serve the same certificate: a client that reuses an HTTP/2 connection of one for a host of the other gets 404`, 'serve them by one Gateway')]
  })
}

/** What a server shows: a credential by name, or certificate and key by file. */
function certificatesOf(gateway: Gateway): string[] {
  return (gateway.spec.servers ?? []).flatMap(({ tls }) => {
    const [credential, certificate, key] = [tls?.credentialName ?? '', tls?.serverCertificate ?? '', tls?.privateKey ?? '']
    if (credential !== '') return [`name ${credential}`]
    return certificate !== '' && key !== '' ? [`file ${certificate}\0${key}`] : []
  })
}
