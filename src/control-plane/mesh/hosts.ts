// Host names as Istio reads them: short names, wildcards, most specific first.

/** A name without a dot is a service of the object's own namespace; anything else stays as it is. */
export function resolveHost(host: string, namespace: string, domain: string): string {
  return host.includes('.') || host.includes('*') || host === '' || host.includes(':') ? host : `${host}.${namespace}.svc.${domain}`
}

/** `pattern` is an exact host or `*`/`*.suffix`; does it cover `host` (which may be a wildcard itself)? */
export function hostCovers(pattern: string, host: string): boolean {
  if (pattern === host || pattern === '*') return true
  if (!pattern.startsWith('*')) return false
  const suffix = pattern.slice(1)
  return host.startsWith('*') ? host.slice(1).endsWith(suffix) : host.length > suffix.length && host.endsWith(suffix)
}

/** Do the two patterns have a host in common? */
export function hostsOverlap(a: string, b: string): boolean {
  return hostCovers(a, b) || hostCovers(b, a)
}

/** The exact pattern, else the longest wildcard that covers the host. */
export function mostSpecific(host: string, patterns: Iterable<string>): string | undefined {
  let best: string | undefined
  for (const pattern of patterns) {
    if (pattern === host) return pattern
    if (pattern.startsWith('*') && hostCovers(pattern, host) && (best === undefined || pattern.length > best.length)) best = pattern
  }
  return best
}
