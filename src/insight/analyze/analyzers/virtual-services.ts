// IST0101, IST0109, IST0112, IST0132, IST0165: VirtualServices against hosts, ports, subsets, gateways and one another.
import type { VirtualService } from '#api'
import type { Problem } from '#lib/problem.ts'
import { covers, fullName, type AnalysisContext } from '../context.ts'
import { notFound, say } from '../problem.ts'
import { fqdn, scopesOf } from '../service-index.ts'

export function meshGatewayHosts(context: AnalysisContext): Problem[] {
  // One that names a host twice claims it twice.
  const claims = new Map<string, VirtualService[]>()
  for (const service of context.all('VirtualService')) {
    const { gateways = [], hosts = [], exportTo } = service.spec
    if (gateways.length > 0 && !gateways.includes('mesh')) continue
    for (const scope of scopesOf(exportTo, service.metadata.namespace)) {
      for (const host of hosts) {
        const key = `${scope}/${fqdn(host, service.metadata.namespace, context.clusterDomain)}`
        claims.set(key, [...(claims.get(key) ?? []), service])
      }
    }
  }
  const said = new Map<VirtualService, Problem>()
  const open = [...claims].flatMap(([key, own]) => (key.startsWith('*/') ? [{ host: key.slice(2), own }] : []))
  const openWild = open.filter((o) => o.host.startsWith('*'))
  for (const [key, own] of claims) {
    const slash = key.indexOf('/')
    const host = key.slice(slash + 1)
    // What is exported to all meets what is kept to one namespace, by wildcards too.
    const all = key.startsWith('*/') ? own : [...own, ...(host.startsWith('*') ? open.filter((o) => meets(host, o.host)) : [...openWild.filter((o) => meets(host, o.host)), ...(claims.has(`*/${host}`) ? [{ own: claims.get(`*/${host}`) ?? [] }] : [])]).flatMap((o) => o.own)]
    if (all.length < 2) continue
    const names = [...new Set(all.map(fullName))].join(',')
    for (const service of all) {
      const index = (service.spec.hosts ?? []).findIndex((h) => meets(fqdn(h, service.metadata.namespace, context.clusterDomain), host))
      if (!said.has(service)) said.set(service, say('IST0109', 'error', service, `spec.hosts[${index}]`, `The VirtualServices ${names} associated with mesh gateway define the same host ${host} which can lead to undefined behavior. This can be fixed by merging the conflicting VirtualServices into a single resource`))
    }
  }
  return [...said.values()]
}

interface Target { readonly path: string; readonly what: string; readonly host: string; readonly subset: string; readonly port: number | undefined }

function targets({ spec }: VirtualService): Target[] {
  const found: Target[] = []
  const add = (path: string, what: string, destination: { readonly host?: string; readonly subset?: string; readonly port?: { readonly number?: number } } | undefined): void => {
    if (destination !== undefined) found.push({ path, what, host: destination.host ?? '', subset: destination.subset ?? '', port: destination.port === undefined ? undefined : (destination.port.number ?? 0) })
  }
  for (const kind of ['tcp', 'tls', 'http'] as const) {
    spec[kind]?.forEach((route, i) => route.route?.forEach(({ destination = {} }, j) => add(`spec.${kind}[${i}].route[${j}].destination`, 'host', destination)))
  }
  spec.http?.forEach((route, i) => {
    add(`spec.http[${i}].mirror`, 'mirror host', route.mirror)
    route.mirrors?.forEach(({ destination }, j) => add(`spec.http[${i}].mirrors[${j}].destination`, 'mirror host', destination))
  })
  return found
}

export function virtualServiceDestinations(context: AnalysisContext): Problem[] {
  return context.all('VirtualService').flatMap((service) => targets(service).flatMap(({ path, what, host, port }): Problem[] => {
    const known = context.services.find(service.metadata.namespace, service.spec.exportTo, host)
    if (known === undefined) return [notFound(service, `${path}.host`, what, host)]
    if (port === undefined) {
      return known.ports.length < 2 ? [] : [say('IST0112', 'error', service, `${path}.host`, `This VirtualService routes to a host "${host}" that exposes multiple ports ${known.ports.join(', ')}. Specifying a port in the destination is required to disambiguate.`)]
    }
    return known.ports.includes(port) ? [] : [notFound(service, `${path}.port.number`, 'host:port', `${host}:${port}`, known.ports.length === 0 ? undefined : `the ports of ${host} are ${known.ports.join(', ')}`)]
  }))
}

/** Namespace and name of a service, from its full name or a short one. */
function serviceName(host: string, namespace: string, domain: string): string {
  const end = `.svc.${domain}`
  const m = host.endsWith(end) ? /^(.+)\.(.+)$/.exec(host.slice(0, -end.length)) : null
  return m === null ? `${namespace}/${host}` : `${m[2]}/${m[1]}`
}

export function virtualServiceSubsets(context: AnalysisContext): Problem[] {
  const subsets = new Set<string>()
  for (const { spec, metadata } of context.all('DestinationRule')) {
    const name = serviceName(fqdn(spec.host ?? '', metadata.namespace, context.clusterDomain), metadata.namespace, context.clusterDomain)
    for (const subset of spec.subsets ?? []) subsets.add(`${name}\0${subset.name ?? ''}`)
  }
  return context.all('VirtualService').flatMap((service) => targets(service).flatMap(({ path, what, host, subset }): Problem[] => {
    if (subset === '' || subsets.has(`${serviceName(host, service.metadata.namespace, context.clusterDomain)}\0${subset}`)) return []
    return [notFound(service, `${path}.subset`, `${what === 'host' ? 'host' : 'mirror'}+subset in destinationrule`, `${host}+${subset}`)]
  }))
}

export function virtualServiceGateways(context: AnalysisContext): Problem[] {
  const gateways = new Map(context.all('Gateway').map((g) => [fullName(g), g]))
  return context.all('VirtualService').flatMap((service) => (service.spec.gateways ?? []).flatMap((name, i): Problem[] => {
    if (name === 'mesh') return []
    if (madeByIstio(name)) return [say('IST0165', 'warning', service, `spec.gateways[${i}]`, `Gateway ${name} in VirtualService ${fullName(service)} is one that Istio makes of a Kubernetes Gateway, and may be named otherwise tomorrow`, 'attach an HTTPRoute to the Kubernetes Gateway')]
    const gateway = gateways.get(name.includes('/') ? name : `${service.metadata.namespace}/${name}`)
    const at = `spec.gateways[${i}]`
    const problems = gateway === undefined ? [notFound(service, at, 'gateway', name)] : []
    const served = (gateway?.spec.servers ?? []).flatMap((s) => (s.hosts ?? []).flatMap((h) => hostFor(h, gateway?.metadata.namespace ?? '', service.metadata.namespace)))
    const hosts = service.spec.hosts ?? []
    if (!hosts.some((h) => served.some((s) => meets(s, h)))) problems.push(say('IST0132', 'warning', service, at, `one or more host ${hosts.join(', ')} defined in VirtualService ${fullName(service)} not found in Gateway ${name}`))
    return problems
  }))
}

const madeByIstio = (name: string): boolean => name.slice(name.indexOf('/') + 1).includes('~istio-autogenerated-k8s-gateway~')

export function claimRoutes(context: AnalysisContext): Problem[] {
  const selectors = context.all('RequestAuthentication').map((r) => ({ namespace: r.metadata.namespace, labels: r.spec.selector?.matchLabels ?? {} }))
  return context.all('VirtualService').flatMap((service): Problem[] => {
    const claim = claimOf(service)
    if (claim === undefined) return []
    return (service.spec.gateways ?? []).flatMap((name): Problem[] => {
      const gateway = context.all('Gateway').find((g) => fullName(g) === (name.includes('/') ? name : `${service.metadata.namespace}/${name}`))
      if (name === 'mesh' || gateway === undefined) return []
      const pods = context.all('Pod').filter((p) => covers(gateway.spec.selector ?? {}, p.metadata.labels))
      const open = pods.find((p) => !selectors.some((s) => (s.namespace === context.rootNamespace || s.namespace === p.metadata.namespace) && covers(s.labels, p.metadata.labels)))
      return open === undefined ? [] : [say('IST0149', 'error', service, claim.path, `Routes by ${claim.key}, but no RequestAuthentication holds for the pod ${open.metadata.name} of the gateway ${fullName(gateway)}: no request has claims`, 'add a RequestAuthentication for the gateway’s pods')]
    })
  })
}

function claimOf({ spec }: VirtualService): { readonly key: string; readonly path: string } | undefined {
  for (const [i, route] of (spec.http ?? []).entries()) {
    for (const [m, match] of (route.match ?? []).entries()) {
      for (const part of ['headers', 'withoutHeaders'] as const) {
        const key = Object.keys(match[part] ?? {}).find((k) => /^@request\.auth\.claims(\..+|\[.+\])$/i.test(k))
        if (key !== undefined) return { key, path: `spec.http[${i}].match[${m}].${part}.${key}` }
      }
    }
  }
  return undefined
}

/** The host of a gateway's `namespace/host` entry, where it is meant for VirtualServices of this namespace. */
function hostFor(entry: string, gatewayNamespace: string, namespace: string): string[] {
  const slash = entry.indexOf('/')
  if (slash === -1) return [entry]
  const from = entry.slice(0, slash) === '.' ? gatewayNamespace : entry.slice(0, slash)
  return from === '*' || from === namespace ? [entry.slice(slash + 1)] : []
}

function meets(a: string, b: string): boolean {
  const wild = (text: string): boolean => text.startsWith('*')
  if (wild(a) && wild(b)) return a.slice(1).endsWith(b.slice(1)) || b.slice(1).endsWith(a.slice(1))
  if (wild(a)) return b.endsWith(a.slice(1))
  return wild(b) ? a.endsWith(b.slice(1)) : a === b
}
