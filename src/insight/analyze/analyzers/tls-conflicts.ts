// KITH0104: what a DestinationRule puts on the wire against what each endpoint takes. KITH0106: STRICT ports that a workload without sidecar can't reach.
import { refTo } from '#api'
import { formatRef, type Problem } from '#lib/problem.ts'
import type { MeshEndpoint, MeshService, ServicePort, Workload } from '#mesh'
import { effectivePolicy, type MtlsMode } from '#plan'
import type { AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { rulesInForce } from '../rules-in-force.ts'

export function tlsConflicts(context: AnalysisContext): Problem[] {
  if (context.all('DestinationRule').length === 0) return []
  const { mesh } = context
  const said = new Map<string, Problem>()
  for (const { client, service, rule } of rulesInForce(mesh)) {
    for (const port of service.ports) {
      for (const subset of [null, ...rule.subsets.map((s) => s.value.name ?? '')]) {
        const tls = effectivePolicy(rule, port.number, subset).tls
        if (tls === undefined) continue
        const mode = tls.value.mode ?? 'DISABLE'
        const labels = rule.subsets.find((s) => s.value.name === subset)?.value.labels ?? {}
        for (const endpoint of context.mtls.endpoints(service, port)) {
          if (!Object.entries(labels).every(([k, v]) => endpoint.labels[k] === v)) continue
          const conflict = conflictOf(context, mode, endpoint, service, port)
          const key = `${refTo(tls.from, tls.path).path}\0${tls.from.metadata.namespace}/${tls.from.metadata.name}\0${service.host}\0${endpoint.workload?.name ?? endpoint.address}`
          if (conflict === undefined || said.has(key)) continue
          said.set(key, say('KITH0104', 'warning', tls.from, `${tls.path}.mode`, `calls from ${client.namespace} to ${service.host}:${port.number} ${conflict.message}`, conflict.help))
        }
      }
    }
  }
  return [...said.values()]
}

interface Conflict { readonly message: string; readonly help: string }

function conflictOf(context: AnalysisContext, mode: string, endpoint: MeshEndpoint, service: MeshService, port: ServicePort): Conflict | undefined {
  const workload = endpoint.workload
  if (service.meshExternal || workload === undefined) return undefined
  const name = `${workload.namespace}/${workload.name}`
  if (!workload.sidecar.value) {
    return mode === 'ISTIO_MUTUAL' ? { message: `use mutual TLS (ISTIO_MUTUAL), but ${name} has no sidecar to take it`, help: 'leave tls out: each endpoint then gets what it takes' } : undefined
  }
  if (mode === 'ISTIO_MUTUAL' && !context.mtls.mayDisable(workload.namespace)) return undefined
  const server = context.mtls.mode(workload, endpoint.port)
  const source = server.because[0]?.source
  const by = source === undefined || source === 'default' ? '' : ` by ${formatRef(source)}`
  const fix = 'leave tls out: each endpoint then gets what it takes; or set mode: ISTIO_MUTUAL'
  if (mode === 'DISABLE' && server.value === 'STRICT') return { message: `go out as plaintext (DISABLE), but ${name} takes mutual TLS only${by}`, help: fix }
  if (mode === 'ISTIO_MUTUAL' && server.value === 'DISABLE') return { message: `use mutual TLS (ISTIO_MUTUAL), but ${name} takes plaintext${by}`, help: 'leave tls out: each endpoint then gets what it takes' }
  if ((mode === 'SIMPLE' || mode === 'MUTUAL') && refusesForeignTls(server.value, port)) return { message: `use TLS of their own (${mode}), which the sidecar of ${name} refuses (${server.value}${by})`, help: fix }
  return undefined
}

/** STRICT takes mesh certificates only; an HTTP port takes no foreign TLS in any mode. */
function refusesForeignTls(mode: MtlsMode, port: ServicePort): boolean {
  return mode === 'STRICT' || port.protocol === 'http' || port.protocol === 'http2' || port.protocol === 'grpc'
}

export function plaintextToStrict(context: AnalysisContext): Problem[] {
  if (context.all('PeerAuthentication').length === 0) return []
  const { mesh } = context
  const outside = mesh.workloads.filter((w) => !w.sidecar.value && w.addresses.length > 0 && !isControlPlane(w))
  if (outside.length === 0) return []
  const strict = mesh.services.filter((s) => s.origin === 'kubernetes' && s.ports.some((p) => onlyStrict(context, s, p))).map((s) => ({ namespace: s.namespace, name: `${s.name}.${s.namespace}` }))
  if (strict.length === 0) return []
  const said = new Map<string, Problem>()
  for (const workload of outside) {
    const key = `${workload.kind}/${workload.namespace}/${workload.name}`
    if (said.has(key)) continue
    const shown = strict.slice(0, 5).map((s) => s.name).join(', ')
    said.set(key, say('KITH0106', 'info', workload.object, '', `${workload.namespace}/${workload.name} has no sidecar (${reason(workload)}), so it can’t reach ports that are STRICT: ${shown}${strict.length > 5 ? ` and ${strict.length - 5} more` : ''}`, 'give it a sidecar, or make PERMISSIVE what it must reach'))
  }
  return [...said.values()]
}

/** It calls no workload, and has no sidecar by design. */
function isControlPlane({ labels }: Workload): boolean {
  return labels['app'] === 'istiod' && labels['istio'] === 'pilot'
}

function onlyStrict(context: AnalysisContext, service: MeshService, port: ServicePort): boolean {
  const endpoints = context.mtls.endpoints(service, port)
  return endpoints.length > 0 && endpoints.every((e) => e.workload?.sidecar.value === true && context.mtls.mode(e.workload, e.port).value === 'STRICT')
}

const reason = (workload: Workload): string => workload.sidecar.because[0]?.rule ?? 'sidecar.absent'
