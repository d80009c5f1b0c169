// What a proxy would run: its plan through the generator and the proxy's own compiler, nothing else.
// Law: narrowing leaves out whole resources that the call can't touch, and changes none of those that stay.
import { compile, type RuntimeConfig, type RuntimeEndpoint } from '#engine'
import { generate, generateEndpoints } from '#generate'
import { invariant } from '#lib/errors.ts'
import type { EndpointsPlan, ProxyPlan } from '#plan'
import type { Resource } from '#xds'

/** The client's side, as far as a call to this port can reach. */
export function outboundConfig(plan: ProxyPlan, port: number): RuntimeConfig {
  const outbound = plan.outbound.filter((l) => l.port === port)
  const asked = new Set(outbound.map((l) => l.routeTable))
  const routeTables = plan.routeTables.filter((t) => asked.has(t.name))
  const named = new Set<string>(outbound.flatMap((l) => l.tcpRoutes.flatMap((r) => r.targets.map((t) => t.upstream))))
  for (const { action } of routeTables.flatMap((t) => t.virtualHosts.flatMap((v) => v.routes))) {
    if (action.kind === 'route') for (const { upstream } of [...action.targets, ...(action.mirrors ?? [])]) named.add(upstream)
  }
  return compiled(generate({ ...plan, inbound: [], outbound, routeTables, upstreams: plan.upstreams.filter((u) => named.has(u.name)) }))
}

const inboundConfigs = new WeakMap<ProxyPlan, RuntimeConfig>()

/** The server's side: every inbound chain of the workload. */
export function inboundConfig(plan: ProxyPlan): RuntimeConfig {
  const known = inboundConfigs.get(plan) ?? compiled(generate({ ...plan, outbound: [], routeTables: [], upstreams: [] }))
  inboundConfigs.set(plan, known)
  return known
}

/** As EDS brings them. */
export function runtimeEndpoints(plan: EndpointsPlan): readonly RuntimeEndpoint[] {
  return compiled([generateEndpoints(plan)]).endpoints.get(plan.upstream)?.all ?? []
}

function compiled(resources: readonly Resource[]): RuntimeConfig {
  const { config, errors } = compile(resources)
  invariant(errors.length === 0, `the proxy would refuse what is generated: ${errors.map((e) => `${e.name}: ${e.message}`).join('; ')}`)
  return config
}
