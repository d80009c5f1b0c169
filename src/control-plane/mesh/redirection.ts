// Which ports of a pod its sidecar stands before: what the rules redirect, by the pod's own annotations. On any other port the application itself answers.
import type { Workload } from './types.ts'

const annotation = (name: string): string => `traffic.sidecar.istio.io/${name}`

/** The sidecar's own ports, never redirected: HBONE, metrics and probes, health, the proxy's metrics. */
export const sidecarPorts: readonly number[] = [15008, 15020, 15021, 15090]

export interface Redirection {
  /** undefined: all but `excluded`; a list stands alone. */
  readonly included: ReadonlySet<number> | undefined
  readonly excluded: ReadonlySet<number>
  /** The annotation that has a say; undefined: none. */
  readonly annotation: (port: number) => string | undefined
}

export function redirectionOf(workload: Pick<Workload, 'annotations'>): Redirection {
  const { annotations } = workload
  const include = annotations[annotation('includeInboundPorts')]
  const included = include === undefined || include.trim() === '*' ? undefined : new Set(numbers(include))
  const excluded = numbers(annotations[annotation('excludeInboundPorts')] ?? '')
  return { included, excluded: new Set([...sidecarPorts, ...excluded]), annotation: (port) => (included !== undefined ? annotation('includeInboundPorts') : excluded.includes(port) ? annotation('excludeInboundPorts') : undefined) }
}

/** `null`: a port that nothing names. */
export function redirectsInbound(redirection: Redirection, port: number | null): boolean {
  if (port === null) return redirection.included === undefined
  return redirection.included?.has(port) ?? !redirection.excluded.has(port)
}

function numbers(list: string): number[] {
  return list.split(',').map((p) => Number(p.trim())).filter((n) => Number.isInteger(n) && n > 0 && n < 65536)
}
