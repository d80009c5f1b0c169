// Which service a host means, for whom: ServiceEntries and Services by scope, exact before wildcard, as Istio's analyzers look them up.
import type { ApiObject, ServiceEntry, ServiceSpec } from '#api'
import type { Labels } from './context.ts'

/** A service that a host leads to. */
export interface KnownService {
  readonly ports: readonly number[]
  /** Of a ServiceEntry's workloads. A Service's own selector is not asked for, as in Istio: a subset must find a pod somewhere. */
  readonly selector: Labels
}

/** A short name is a service of that namespace; anything with a dot or a wildcard stays. `domain`: the cluster's. */
export const fqdn = (host: string, namespace: string, domain: string): string => (host.startsWith('*') || host.includes('.') ? host : `${host}.${namespace}.svc.${domain}`)

/** Namespaces to which `exportTo` shows an object of `owner`: `*` for all. */
export function scopesOf(exportTo: readonly string[] | undefined, owner: string): ReadonlySet<string> {
  const to = exportTo ?? []
  if (to.length === 0 || to.includes('*')) return new Set(['*'])
  return new Set(to.map((t) => (t === '.' ? owner : t)))
}

export class ServiceIndex {
  readonly #exact = new Map<string, KnownService>()
  readonly #wildcards: { readonly scope: string; readonly suffix: string; readonly service: KnownService }[] = []

  readonly #domain: string

  constructor(entries: readonly ServiceEntry[], services: readonly ApiObject<string, ServiceSpec>[], domain: string) {
    this.#domain = domain
    for (const { metadata, spec } of entries) {
      const service: KnownService = { ports: (spec.ports ?? []).map((p) => p.number ?? 0), selector: spec.workloadSelector?.labels ?? {} }
      for (const scope of scopesOf(spec.exportTo, metadata.namespace)) for (const host of spec.hosts ?? []) this.#add(scope, fqdn(host, metadata.namespace, domain), service)
    }
    for (const { metadata, spec } of services) {
      const ports = Array.isArray(spec.ports) ? spec.ports : []
      const service: KnownService = { ports: ports.map((p) => Number(p?.port)), selector: {} }
      const exportTo = metadata.annotations['networking.istio.io/exportTo']
      const scopes = scopesOf(exportTo === undefined || exportTo === '' ? undefined : exportTo.split(',').map((s) => s.trim()), metadata.namespace)
      for (const scope of scopes) this.#add(scope, fqdn(metadata.name, metadata.namespace, domain), service)
    }
  }

  #add(scope: string, host: string, service: KnownService): void {
    this.#exact.set(`${scope}/${host}`, service)
    if (host.startsWith('*')) this.#wildcards.push({ scope, suffix: host.slice(1), service })
  }

  /** The service that `host` means to an object of `namespace` with this exportTo. */
  find(namespace: string, exportTo: readonly string[] | undefined, host: string): KnownService | undefined {
    const name = fqdn(host, namespace, this.#domain)
    const scopes = (exportTo ?? []).length === 0 ? [namespace] : (exportTo as readonly string[]).map((e) => (e === '.' ? namespace : e))
    for (const scope of ['*', ...scopes]) {
      const found = this.#exact.get(`${scope}/${name}`)
      if (found !== undefined) return found
    }
    const bare = host.startsWith('*') ? host.slice(1) : host
    return this.#wildcards.find((w) => (w.scope === '*' || w.scope === namespace) && bare.endsWith(w.suffix))?.service
  }

  /** Whether a wildcard covers some service that an object of `namespace` with this exportTo may mean. */
  has(namespace: string, exportTo: readonly string[] | undefined, wildcard: string): boolean {
    const scopes = new Set(['*', namespace, ...scopesOf(exportTo, namespace)])
    const suffix = wildcard.slice(1)
    return [...this.#exact.keys()].some((key) => scopes.has(key.slice(0, key.indexOf('/'))) && key.slice(key.indexOf('/') + 1).endsWith(suffix))
  }
}
