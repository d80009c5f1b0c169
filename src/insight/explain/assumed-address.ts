// Files do not say which address a cluster will give a Service; where the pod's rules name ranges, that may
// decide.
import { interceptionFor } from '#mesh'
import type { Question } from './question.ts'

/** What rests on the address that is assumed here; null: nothing does. */
export function assumedAddress({ client, resolved, target }: Question): string | null {
  const { service } = resolved
  const [address] = resolved.addresses
  if (service === undefined || address === undefined || service.origin !== 'kubernetes' || service.headless)
    return null
  const { clusterIP } = service.object.spec as { readonly clusterIP?: string }
  if (clusterIP !== undefined && clusterIP !== '') return null
  const { includeOutboundCidrs, excludeOutboundCidrs } = interceptionFor(client).options
  const ranges = [
    ...(includeOutboundCidrs === '*' ? [] : (includeOutboundCidrs ?? [])),
    ...(excludeOutboundCidrs ?? []),
  ].filter((r) => !r.endsWith('/0'))
  return ranges.length === 0
    ? null
    : `${target.host} gets an address like ${address}, which is taken for it here: its Service says none, and the pod’s rules name ${ranges.join(', ')}`
}
