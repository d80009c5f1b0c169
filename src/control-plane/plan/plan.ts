// Snapshot and workload → what its proxy should do, and why.
import { isDeepStrictEqual } from 'node:util'
import { sidecarPorts, type Mesh, type Workload } from '#mesh'
import { authenticated } from './authentication.ts'
import { authorized } from './authorization.ts'
import { onceAClass } from './client-class.ts'
import { planContext, type PlanContext } from './context.ts'
import { planInbound } from './inbound.ts'
import { planOutbound } from './listeners.ts'
import { tlsByAddress, visiblePods } from './pod-tls.ts'
import { basePaths, pathRules } from './path-rules.ts'
import { planProblems } from './problems.ts'
import type { MeshSettings, ProxyPlan, ProxyRef } from './types.ts'
import { planUpstreams } from './upstreams.ts'

/** The plan of one proxy. Same snapshot, same plan, byte for byte. */
export function planProxy(mesh: Mesh, workload: Workload): ProxyPlan {
  return planFrom(planContext(mesh, workload))
}

export function planFrom(context: PlanContext): ProxyPlan {
  const { mesh, client } = context
  return { proxy: proxyRef(client), mesh: meshSettings(mesh), inbound: planInbound(context), ...outboundOf(mesh, client), ...authorized(context), ...authenticated(context), problems: planProblems(context) }
}

/** The same object for all clients of a class: what is made from it need not be made again. */
const outboundOf = onceAClass((mesh, client): Pick<ProxyPlan, 'outbound' | 'routeTables' | 'upstreams' | 'egress' | 'passthrough'> => {
  const context = planContext(mesh, client)
  const { egress } = context.scope
  const { listeners: outbound, routeTables } = planOutbound(context)
  return { outbound, routeTables, upstreams: planUpstreams(context), egress, passthrough: egress.value === 'ALLOW_ANY' ? visiblePods(context) : [] }
})

/** What comes in alone: enough to say what a server does with a call, at a fraction of the cost. */
export function planServer(context: PlanContext): ProxyPlan {
  return { proxy: proxyRef(context.client), mesh: meshSettings(context.mesh), inbound: planInbound(context), outbound: [], routeTables: [], upstreams: [], egress: context.scope.egress, passthrough: [], ...authorized(context), ...authenticated(context), problems: planProblems(context) }
}

function proxyRef(w: Workload): ProxyRef {
  return { id: w.id, namespace: w.namespace, pod: w.pod, workload: w.name, serviceAccount: w.serviceAccount, identity: w.identity, labels: w.labels, addresses: w.addresses }
}

function meshSettings(mesh: Mesh): MeshSettings {
  const paths = pathRules(mesh)
  const { config, trustDomain, trustDomainAliases, domain } = mesh.options
  return {
    trustDomain, trustDomainAliases, domain, accessLogFile: config.accessLogFile ?? '', minTlsVersion: config.meshMTLS?.minProtocolVersion === 'TLSV1_3' ? 'TLSV1_3' : 'TLSV1_2', cipherSuites: config.meshMTLS?.cipherSuites ?? [],
    protocolDetectionTimeoutMs: config.protocolDetectionTimeout ?? 0, connectTimeoutMs: config.connectTimeout ?? 10_000, tlsByAddress: tlsByAddress(mesh), sidecarPorts, ...(isDeepStrictEqual(paths, basePaths) ? {} : { paths }),
  }
}
