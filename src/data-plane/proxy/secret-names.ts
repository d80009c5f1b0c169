// Which SDS secrets a configuration names. Law: files that Istio names as secrets (`file-root:…`) are none.
import type { RuntimeConfig, TlsSettings } from '#engine'

export function secretsNamed(config: RuntimeConfig): string[] {
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
  return [...names].filter((n) => !n.startsWith('file-')).sort()
}
