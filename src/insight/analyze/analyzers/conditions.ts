// IST0171: objects whose status says that something of them was not taken up. Istio: pkg/config/analysis/analyzers/conditions.
import { isRecord } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

const waypoint = ['istio.io/WaypointBound']
const routed = ['Accepted', 'Programmed', 'ResolvedRefs']
const negative: Readonly<Record<string, readonly string[]>> = {
  Service: waypoint, ServiceEntry: waypoint, WorkloadEntry: waypoint, AuthorizationPolicy: ['ZtunnelAccepted', 'WaypointAccepted'], Gateway: routed, HTTPRoute: routed, GRPCRoute: routed,
}

export function conditions(context: AnalysisContext): Problem[] {
  return context.objects.flatMap((object): Problem[] => {
    const types = Object.hasOwn(negative, object.kind) ? (negative[object.kind] as readonly string[]) : []
    if (types.length === 0 || !isRecord(object.raw['status']) || (object.kind === 'Gateway' && !object.apiVersion.startsWith('gateway.networking.k8s.io/'))) return []
    const status = object.raw['status']
    const holders = object.kind.endsWith('Route') ? listOf(status['parents']) : [status]
    return holders.flatMap((holder) => listOf(holder['conditions'])).flatMap((c): Problem[] => {
      const [type, reason] = [String(c['type']), String(c['reason'] ?? '')]
      const partly = object.kind === 'AuthorizationPolicy' && type === 'WaypointAccepted' && reason === 'PartiallyInvalid'
      return (types.includes(type) && c['status'] === 'False') || partly ? [say('IST0171', 'warning', object, 'status', `A condition with a negative status is present: type=${type}, reason=${reason}, message=${String(c['message'] ?? '')}`)] : []
    })
  })
}

function listOf(raw: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(raw) ? (raw as unknown[]).filter((c) => isRecord(c)) : []
}
