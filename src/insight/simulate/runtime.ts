// What a proxy would run: its plan through the generator and the proxy's own compiler, nothing else.
// Law: narrowing leaves out whole resources that the call can't touch, and changes none of those that stay.
import { compile, type DecodedInput, type RuntimeCluster, type RuntimeConfig, type RuntimeEndpoint } from '#engine'
import { asMessage, generateEndpointsJson, generateJson, type ResourceJson } from '#generate'
import { invariant } from '#lib/errors.ts'
import type { EndpointsPlan, ProxyPlan } from '#plan'
import { typeUrls } from '#xds'

export interface Outbound {
  /** Listeners and routes. */
  readonly config: RuntimeConfig
  /** A call takes few of hundreds: compiled when it does. */
  cluster(name: string): RuntimeCluster | undefined
}

/** The client's side, as far as a call to this port can reach. */
export function outboundConfig(plan: ProxyPlan, port: number): Outbound {
  const outbound = plan.outbound.filter((l) => l.port === port)
  const asked = new Set(outbound.map((l) => l.routeTable))
  const routeTables = plan.routeTables.filter((t) => asked.has(t.name))
  const named = new Set<string>(outbound.flatMap((l) => l.tcpRoutes.flatMap((r) => r.targets.map((t) => t.upstream))))
  for (const { action } of routeTables.flatMap((t) => t.virtualHosts.flatMap((v) => v.routes))) {
    if (action.kind === 'route') for (const { upstream } of [...action.targets, ...(action.mirrors ?? [])]) named.add(upstream)
  }
  const resources = generateJson({ ...plan, inbound: [], outbound, routeTables, upstreams: plan.upstreams.filter((u) => named.has(u.name)) })
  const clusters = new Map(resources.filter(isCluster).map((r) => [String(r.json['name']), r]))
  return {
    config: compiled(resources.filter((r) => !isCluster(r))),
    cluster(name) {
      const found = clusters.get(name)
      return found === undefined ? undefined : compiled([found]).clusters.get(name)
    },
  }
}

const inboundConfigs = new WeakMap<ProxyPlan, RuntimeConfig>()

/** The server's side: every inbound chain of the workload. */
export function inboundConfig(plan: ProxyPlan): RuntimeConfig {
  const known = inboundConfigs.get(plan) ?? compiled(generateJson({ ...plan, outbound: [], routeTables: [], upstreams: [] }).filter((r) => !isCluster(r)))
  inboundConfigs.set(plan, known)
  return known
}

/** As EDS brings them. */
export function runtimeEndpoints(plan: EndpointsPlan): readonly RuntimeEndpoint[] {
  return compiled([generateEndpointsJson(plan)]).endpoints.get(plan.upstream)?.all ?? []
}

const isCluster = (r: ResourceJson): boolean => r.type === typeUrls.cluster

function compiled(resources: readonly ResourceJson[]): RuntimeConfig {
  const { config, errors } = compile(resources.map(({ type, json }): DecodedInput => ({ type, name: String(json['name'] ?? json['clusterName']), message: asMessage(type, json) })))
  invariant(errors.length === 0, `the proxy would refuse what is generated: ${errors.map((e) => `${e.name}: ${e.message}`).join('; ')}`)
  return config
}
