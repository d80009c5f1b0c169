// What Istio's webhook refuses in a VirtualService as a whole, and in its TLS and TCP routes.
import type { L4DestinationSpec, TcpRouteSpec, TlsRouteSpec, VirtualServiceSpec } from '../kinds/virtual-service.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkDestination, checkHttpRoute, checkWeights, claimHeader } from './http-route.ts'
import { gatewayDomainFault, hostWithin, hostsMeet, isAddress, labelSetFault, portFault, subnetFault, wildcardDomainFault } from './names.ts'
import { checkExportTo, checkGatewayNames } from './shared.ts'
import { checkUnreachable } from './unreachable.ts'

export function checkVirtualService(object: ApiObject, found: Findings): void {
  const spec = object.spec as VirtualServiceSpec
  const { hosts = [], gateways = [], http = [], tls = [], tcp = [] } = spec
  const isDelegate = hosts.length === 0
  if (isDelegate) {
    if (gateways.length > 0) found.error('spec.gateways', 'a VirtualService without hosts is a delegate and has no gateways')
    if (tls.length > 0) found.error('spec.tls', 'a VirtualService without hosts is a delegate and has no tls routes')
    if (tcp.length > 0) found.error('spec.tcp', 'a VirtualService without hosts is a delegate and has no tcp routes')
  }
  checkGatewayNames(found, 'spec.gateways', gateways)
  const onGateway = gateways.length > 0 && !gateways.includes('mesh')
  if (!onGateway) {
    http.forEach((route, i) => route.match?.forEach((match, m) => {
      for (const name of ['headers', 'withoutHeaders'] as const) {
        for (const key of Object.keys(match[name] ?? {})) if (claimHeader.test(key)) found.error(`spec.http[${i}].match[${m}].${name}.${key}`, 'routing by a token’s claims works on gateways only')
      }
    }))
  }
  checkHosts(found, hosts, onGateway, tls)
  if (http.length === 0 && tls.length === 0 && tcp.length === 0) found.error('spec', 'http, tls or tcp must be given')
  http.forEach((route, i) => checkHttpRoute(found, `spec.http[${i}]`, route, isDelegate))
  tls.forEach((route, i) => checkTlsRoute(found, `spec.tls[${i}]`, route, hosts, onGateway))
  tcp.forEach((route, i) => checkTcpRoute(found, `spec.tcp[${i}]`, route))
  checkExportTo(found, object.metadata.namespace, spec.exportTo, 'other')
  checkUnreachable(found, spec)
}

function checkHosts(found: Findings, hosts: readonly string[], onGateway: boolean, tls: readonly TlsRouteSpec[]): void {
  const sni = tls.some((route) => route.match?.some((m) => (m.sniHosts ?? []).length > 0) === true)
  let valid = true
  hosts.forEach((host, i) => {
    const fault = onGateway ? gatewayDomainFault(sni, host) : wildcardDomainFault(host)
    const said = fault !== undefined && !isAddress(host) ? fault : fault === undefined && !onGateway && host === '*' ? 'the host * works on gateways only, not in the mesh' : undefined
    if (said !== undefined) valid = false
    found.error(`spec.hosts[${i}]`, said)
  })
  if (!valid) return
  hosts.forEach((a, i) => hosts.slice(i + 1).forEach((b, j) => found.error(`spec.hosts[${i + 1 + j}]`, hostsMeet(a, b) ? `${b} overlaps with ${a}` : undefined)))
}

function checkTlsRoute(found: Findings, path: string, route: TlsRouteSpec, hosts: readonly string[], onGateway: boolean): void {
  if ((route.match ?? []).length === 0) found.error(`${path}.match`, 'a TLS route must match something')
  route.match?.forEach((match, i) => {
    const at = `${path}.match[${i}]`
    if ((match.sniHosts ?? []).length === 0) found.error(`${at}.sniHosts`, 'a TLS match must name at least one SNI host')
    match.sniHosts?.forEach((host, n) => {
      const fault = onGateway ? gatewayDomainFault(true, host) : wildcardDomainFault(host)
      if (fault !== undefined && isAddress(host)) found.warn(`${at}.sniHosts[${n}]`, 'an IP address as SNI is against its specification, and most clients can’t send it')
      else if (fault !== undefined) found.error(`${at}.sniHosts[${n}]`, fault)
      else if (!hosts.some((h) => hostWithin(host, h))) found.error(`${at}.sniHosts[${n}]`, `the SNI host ${host} is not among the hosts of the VirtualService: ${hosts.join(', ')}`)
    })
    checkL4Match(found, at, match)
  })
  checkL4Destinations(found, path, 'TLS', route.route)
}

function checkTcpRoute(found: Findings, path: string, route: TcpRouteSpec): void {
  route.match?.forEach((match, i) => checkL4Match(found.errorsOnly(), `${path}.match[${i}]`, match))
  checkL4Destinations(found, path, 'TCP', route.route)
}

interface L4Match { readonly destinationSubnets?: readonly string[]; readonly port?: number; readonly sourceLabels?: Readonly<Record<string, string>>; readonly gateways?: readonly string[] }

function checkL4Match(found: Findings, path: string, match: L4Match): void {
  match.destinationSubnets?.forEach((subnet, i) => found.error(`${path}.destinationSubnets[${i}]`, subnetFault(subnet)))
  if ((match.port ?? 0) !== 0) found.error(`${path}.port`, portFault(match.port as number))
  found.error(`${path}.sourceLabels`, labelSetFault(match.sourceLabels))
  checkGatewayNames(found, `${path}.gateways`, match.gateways)
}

function checkL4Destinations(found: Findings, path: string, kind: string, route: readonly L4DestinationSpec[] | undefined): void {
  if ((route ?? []).length === 0) return found.error(`${path}.route`, `a ${kind} route must lead somewhere`)
  route?.forEach(({ destination }, i) => checkDestination(found, `${path}.route[${i}].destination`, destination, true))
  checkWeights(found, `${path}.route`, route ?? [])
}
