// KITH0130: TLS that applications send, put into TLS once more by a DestinationRule. KITH0131: a rule's TLS
// towards a port where servers hardly speak it.
// https://istio.io/latest/docs/ops/common-problems/network-issues/#double-tls-tls-origination-for-a-tls-request
import { refTo, type ClientTls, type DestinationRule } from '#api'
import { formatRef, type Problem } from '#lib/problem.ts'
import { resolveHost, type MeshService, type ServicePort } from '#mesh'
import { effectivePolicy } from '#plan'
import type { AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { rulesInForce, type RuleInForce } from '../rules-in-force.ts'

interface Originated {
  readonly mode: string
  readonly from: DestinationRule
  readonly path: string
}

const isHttp = ({ protocol }: ServicePort): boolean =>
  protocol === 'http' || protocol === 'http2' || protocol === 'grpc'
const plainPorts: ReadonlySet<number | string> = new Set([80, 8080])

/**
 * What sidecars make of plaintext that is sent there; undefined: nothing that a server outside the mesh's TLS
 * would end.
 */
function originated(
  service: MeshService,
  rule: RuleInForce['rule'],
  port: number,
  subset: string | null,
): Originated | undefined {
  const tls = effectivePolicy(rule, port, subset).tls
  if (tls === undefined || !makesTls(tls.value, tls.from, service)) return undefined
  return { mode: tls.value.mode ?? 'DISABLE', from: tls.from, path: `${tls.path}.mode` }
}

/**
 * The mesh's own mutual TLS ends at the server's sidecar, and what is inside goes on as it was: that is
 * right.
 */
function makesTls(
  { mode, credentialName = '' }: ClientTls,
  from: DestinationRule,
  { meshExternal }: MeshService,
): boolean {
  if (mode === 'ISTIO_MUTUAL') return meshExternal
  if (mode !== 'SIMPLE' && mode !== 'MUTUAL') return false
  return credentialName === '' || from.spec.workloadSelector !== undefined
}

const subsetsOf = (rule: RuleInForce['rule']): (string | null)[] => [
  null,
  ...rule.subsets.map((s) => s.value.name ?? ''),
]

export function doubleTls(context: AnalysisContext): Problem[] {
  const said = new Map<string, Problem>()
  const once = (problem: Problem): void =>
    void said.set(`${formatRef(problem.ref)} ${problem.message}`, problem)
  for (const { service, rule } of rulesInForce(context.mesh)) {
    for (const port of service.ports.filter((p) => p.protocol === 'tls')) {
      for (const subset of subsetsOf(rule)) {
        const tls = originated(service, rule, port.number, subset)
        if (tls !== undefined) once(atPort(service, port, tls))
      }
    }
  }
  for (const problem of tlsRoutes(context)) once(problem)
  return [...said.values()]
}

function atPort(service: MeshService, port: ServicePort, { mode, from, path }: Originated): Problem {
  const plain = service.ports.find((p) => isHttp(p) && p.targetPort === port.targetPort)
  const call =
    plain === undefined
      ? `declare the port as HTTP and call http://${service.host}:${port.number}`
      : `call http://${service.host}:${plain.number}`
  const message = `applications send TLS themselves to ${service.host}:${port.number}, which is declared as ${port.name === '' ? 'TLS' : `TLS (${port.name})`}, and sidecars put it into TLS once more (${mode}): https:// calls fail`
  return say(
    'KITH0130',
    'warning',
    from,
    path,
    message,
    `${call}, so that the sidecar makes the TLS; or leave tls out for this port, and let the application's own pass through`,
  )
}

/**
 * A tls route takes connections by their server name, so what comes is TLS, whatever the port that it leads
 * to declares.
 */
function tlsRoutes({ mesh }: AnalysisContext): Problem[] {
  const inForce = Map.groupBy(rulesInForce(mesh), ({ service }) => service.host)
  return mesh.virtualServices.flatMap((virtual) =>
    (virtual.spec.tls ?? []).flatMap((route, i) =>
      (route.route ?? []).flatMap(({ destination }, j): Problem[] => {
        const host = resolveHost(destination?.host ?? '', virtual.metadata.namespace, mesh.options.domain)
        return (inForce.get(host) ?? []).flatMap(({ service, rule }): Problem[] => {
          const number = destination?.port?.number ?? service.ports[0]?.number ?? 0
          const port = service.ports.find((p) => p.number === number)
          const tls =
            port === undefined || port.protocol === 'tls'
              ? undefined
              : originated(service, rule, number, destination?.subset ?? null)
          if (tls === undefined) return []
          const by = formatRef(refTo(tls.from, tls.path))
          const message = `a tls route takes connections in which applications send TLS, and ${by} has sidecars put it into TLS once more (${tls.mode}) on the way to ${host}:${number}`
          return [
            say(
              'KITH0130',
              'warning',
              virtual,
              `spec.tls[${i}].route[${j}].destination`,
              message,
              'lead it to a port without tls in its DestinationRule, or take http:// calls by an http route',
            ),
          ]
        })
      }),
    ),
  )
}

export function tlsToPlainPorts({ mesh }: AnalysisContext): Problem[] {
  const said = new Map<string, Problem>()
  for (const { service, rule } of rulesInForce(mesh)) {
    if (!service.meshExternal || service.origin !== 'entry') continue
    service.ports.forEach((port, index) => {
      const tls =
        plainPorts.has(port.targetPort) && isHttp(port)
          ? originated(service, rule, port.number, null)
          : undefined
      if (tls === undefined) return
      const at = refTo(service.object, `spec.ports[${index}]`)
      const message = `TLS (${tls.mode}) is made towards port ${port.targetPort} of ${service.host}, where servers hardly speak it`
      said.set(
        `${formatRef(at)} ${formatRef(refTo(tls.from, tls.path))}`,
        say(
          'KITH0131',
          'info',
          tls.from,
          tls.path,
          message,
          `write targetPort: 443 in ${formatRef(at)}, or portLevelSettings for the port that speaks TLS`,
        ),
      )
    })
  }
  return [...said.values()]
}
