// What may not be as it was meant, though the call does not end there. Law: each hint says what would show
// it, and what to change.
import { refTo } from '#api'
import { formatRef } from '#lib/problem.ts'
import type { MeshService } from '#mesh'
import { inboundConfig, waitsForClient } from '../simulate/index.ts'
import type { Outbound } from '../simulate/index.ts'
import { portsOf } from './no-endpoint.ts'
import type { Question } from './question.ts'
import type { EndpointAnswer } from './types.ts'

/** `outbound`: the caller's sidecar, where it takes part. */
export function hintsFor(q: Question, answer: EndpointAnswer, outbound: Outbound | undefined): string[] {
  return [
    ...aliases(q),
    ...plaintextToTlsPort(q, answer),
    ...tlsToPlainPort(q, answer),
    ...serverFirst(q, answer, outbound),
    ...tlsByApplication(q, answer),
  ]
}

/** An ExternalName is another name, and its own ports count for nothing. */
function aliases({ resolved, target }: Question): string[] {
  const [first] = resolved.aliases ?? []
  const { service } = resolved
  if (first === undefined || service === undefined) return []
  return [
    `${target.host} is an alias (ExternalName, ${formatRef(refTo(first.object, 'spec.externalName'))}): the call is for ${service.host}, which has ${portsOf(service).join(', ') || 'no port'}; ports of the alias itself count for nothing`,
  ]
}

function calledPort(
  q: Question,
  { client }: EndpointAnswer,
): { readonly service: MeshService; readonly index: number } | undefined {
  const { destination } = client
  const service =
    destination === null
      ? q.resolved.service
      : (q.context.scope.byHost.get(destination.host) ?? q.mesh.servicesByHost.get(destination.host)?.[0])
  const index = service?.ports.findIndex((p) => p.number === (destination?.port ?? q.target.port)) ?? -1
  return service === undefined || index === -1 ? undefined : { service, index }
}

/** A server that ends TLS itself can't read plaintext. */
function plaintextToTlsPort(q: Question, answer: EndpointAnswer): string[] {
  const at = calledPort(q, answer)
  const port = at?.service.ports[at.index]
  const wire = answer.client.tls?.value
  if (
    at === undefined ||
    port?.protocol !== 'tls' ||
    answer.blocked !== null ||
    q.bytes.http === undefined ||
    (wire !== 'DISABLE' && wire !== 'ISTIO_MUTUAL')
  )
    return []
  return [
    `port ${port.number} of ${at.service.host} is declared as TLS (${formatRef(refTo(at.service.object, `spec.ports[${at.index}]`))}), and this call is plaintext HTTP: a server that speaks TLS there can’t read it; write https://`,
  ]
}

const plainPorts: ReadonlySet<number | string> = new Set([80, 8080])

/** TLS that a rule originates towards a port where servers hardly speak it. */
function tlsToPlainPort(q: Question, answer: EndpointAnswer): string[] {
  const wire = answer.client.tls?.value
  const at = calledPort(q, answer)
  const port = at?.service.ports[at.index]
  if (
    at === undefined ||
    port === undefined ||
    answer.blocked !== null ||
    answer.server !== null ||
    (wire !== 'SIMPLE' && wire !== 'MUTUAL') ||
    !plainPorts.has(port.targetPort)
  )
    return []
  const source = answer.client.tls?.because[0]?.source ?? 'default'
  return [
    `${source === 'default' ? wire : formatRef(source)} makes TLS towards port ${port.targetPort} of ${at.service.host}, where servers hardly speak it: write targetPort: 443 in ${formatRef(refTo(at.service.object, `spec.ports[${at.index}]`))}`,
  ]
}

/** The application's bytes are not known; where they are TLS, the sidecar's goes around them. */
function tlsByApplication(q: Question, answer: EndpointAnswer): string[] {
  const wire = answer.client.tls?.value
  if (
    q.target.scheme !== 'tcp' ||
    q.bytes.tls !== undefined ||
    answer.blocked !== null ||
    (wire !== 'SIMPLE' && wire !== 'MUTUAL')
  )
    return []
  return [
    `the sidecar makes the TLS: an application that sends TLS itself to ${q.target.host}:${q.target.port} gets TLS in TLS, and fails; ask with https:// to see it`,
  ]
}

/** A protocol in which the server speaks first waits where a sidecar looks at the client's first bytes. */
function serverFirst(q: Question, answer: EndpointAnswer, outbound: Outbound | undefined): string[] {
  const at = calledPort(q, answer)
  const protocol = at?.service.ports[at.index]?.protocol
  // Where TLS is declared, the client speaks first.
  if (q.target.scheme !== 'tcp' || answer.blocked !== null || protocol === 'tls') return []
  const atClient =
    outbound === undefined
      ? null
      : waitsForClient(outbound.config, false, {
          address: q.resolved.addresses[0]?.split('/')[0] ?? '192.0.2.1',
          port: q.target.port,
        })
  if (atClient !== null)
    return [
      waiting(
        'the caller’s sidecar',
        atClient,
        `declare the protocol of port ${q.target.port}: a name that begins with tcp-, or appProtocol: tcp`,
      ),
    ]
  const { server, client } = answer
  if (server?.redirected?.value !== true || client.tls?.value !== 'DISABLE') return []
  const workload = q.mesh.workloads.find((w) => `${w.namespace}/${w.name}` === server.workload)
  const atServer =
    workload === undefined
      ? null
      : waitsForClient(inboundConfig(q.serverPlan(workload)), true, {
          address: workload.addresses[0] ?? '',
          port: server.port,
        })
  return atServer === null
    ? []
    : [
        waiting(
          'the server’s sidecar',
          atServer,
          protocol === 'auto'
            ? `declare the protocol of the port as tcp, and let the caller have a sidecar`
            : 'let the caller have a sidecar, whose mutual TLS begins by itself, or write mode DISABLE for this port',
        ),
      ]
}

function waiting(
  who: string,
  { ms, goesOn }: { readonly ms: number; readonly goesOn: boolean },
  fix: string,
): string {
  const then =
    ms === 0
      ? 'for ever'
      : goesOn
        ? `for ${ms} ms, and then goes on`
        : `for ${ms} ms, and then closes the connection`
  return `${who} waits for the client’s first bytes ${then}: a protocol in which the server speaks first (MySQL, SMTP, FTP …) ${ms === 0 ? 'hangs' : 'waits'} here; ${fix}`
}
