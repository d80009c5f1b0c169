// Which SDS secrets a configuration names. Law: what a user's rule names (files, Kubernetes secrets) breaks that one cluster, never the proxy's readiness.
import type { RuntimeConfig, TlsSettings } from '#engine'

/** The mesh's own: `default`, `ROOTCA`; not `file-root:…`, `file-cert:…`, `kubernetes://…`. */
export function isMeshSecret(name: string): boolean {
  return !/^(?:file-root|file-cert|kubernetes):/.test(name)
}

export function secretsNamed(config: RuntimeConfig): string[] {
  return allNamed(config).filter(isMeshSecret)
}

/** Secrets of the cluster that the control plane serves by name. */
export function credentialNames(config: RuntimeConfig): string[] {
  return allNamed(config).filter((n) => n.startsWith('kubernetes://'))
}

function allNamed(config: RuntimeConfig): string[] {
  const names = new Set<string>()
  const of = (tls: TlsSettings | null | undefined): void => {
    if (tls === null || tls === undefined) return
    if (tls.certificate !== undefined && 'sds' in tls.certificate) names.add(tls.certificate.sds)
    const roots = tls.validation?.roots
    if (roots !== undefined && roots !== null && roots !== 'none' && 'sds' in roots) names.add(roots.sds)
  }
  for (const listener of config.listeners.values()) {
    for (const { chain } of listener.chains) of(chain.tls)
    of(listener.defaultChain?.tls)
  }
  for (const cluster of config.clusters.values()) {
    of(cluster.tls)
    for (const choice of cluster.matches) of(choice.tls)
  }
  return [...names].sort()
}
