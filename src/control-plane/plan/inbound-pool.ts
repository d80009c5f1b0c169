// A DestinationRule's connection pool holds for the server's own sidecar too.
import type { MeshService, ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import { effectivePolicy } from './traffic-policy.ts'
import type { ConnectionPool } from './types.ts'
import { planPool } from './upstreams.ts'

export function destinationRuleForInbound(context: PlanContext, service: MeshService, port: ServicePort): ConnectionPool | undefined {
  const pool = effectivePolicy(context.ruleFor(service), port.number, null).connectionPool
  return pool === undefined ? undefined : planPool(pool.value, context)
}
