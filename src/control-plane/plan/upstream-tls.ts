// What the client puts on the wire towards a service's port: the DestinationRule's word, else automatic mTLS endpoint by endpoint.
// Istio: buildUpstreamTLSSettings, mtls_checker.
import { byDefault, type Decided, type Reason } from '#lib/decided.ts'
import { refTo, type ClientTls } from '#api'
import { notRedirectedBy, redirectsInbound, type Mesh, type MeshEndpoint, type MeshService, type ServicePort } from '#mesh'
import type { PlanContext } from './context.ts'
import { decideMtls, namespaceMtls } from './mtls.ts'
import type { EffectivePolicy, Sourced } from './traffic-policy.ts'
import type { MtlsMode, UpstreamTls } from './types.ts'

export function decideUpstreamTls(context: PlanContext, service: MeshService, port: ServicePort, subset: string | null, policy: EffectivePolicy): Decided<UpstreamTls> {
  const sni = `outbound_.${port.number}_.${subset ?? ''}_.${service.host}`
  const identities = expectedIdentities(context, service, port)
  if (policy.tls !== undefined) return fromRule(policy.tls, sni, identities, service, context)
  const replaced: Reason[] = policy.replacedTls === undefined ? [] : [{ rule: 'tls.port-replaces', source: refTo(policy.replacedTls.from, `${policy.replacedTls.path}.mode`), effect: 'overruled' }]
  const decided = withoutRule(context, service, port, sni, identities, policy)
  return { value: decided.value, because: [...decided.because, ...replaced] }
}

/** Where a virtual address is passed through as it is, somebody else chooses the endpoint: all of them take mutual TLS, or none is sent any. Istio has it so for headless services too. */
function forUnknownEndpoint(context: PlanContext, service: MeshService, port: ServicePort, sni: string, sans: readonly string[]): Decided<UpstreamTls> {
  const istio = context.mesh.options.autoMtls === 'istio'
  const rule = istio && service.resolution === 'none' ? 'tls.auto-istio-headless' : 'tls.auto-passthrough'
  const decided = context.endpoints(service, port).map((e) => (istio && e.takesMtls ? byDefault<'ISTIO_MUTUAL' | 'DISABLE'>('ISTIO_MUTUAL', 'endpoint.capable') : decideEndpointTls(context, e, {})))
  const against = decided.find((d) => d.value === 'DISABLE')
  if (decided.length > 0 && against === undefined) return byDefault<UpstreamTls>({ mode: 'ISTIO_MUTUAL', sni, sans }, rule)
  return { value: { mode: 'DISABLE' }, because: [{ rule, source: 'default', effect: 'chosen' }, ...(against?.because ?? [])] }
}

function withoutRule(context: PlanContext, service: MeshService, port: ServicePort, sni: string, sans: readonly string[], policy: EffectivePolicy): Decided<UpstreamTls> {
  const { mesh } = context
  if (service.meshExternal) return byDefault<UpstreamTls>({ mode: 'DISABLE' }, 'tls.external')
  if (!mesh.options.enableAutoMtls) return byDefault<UpstreamTls>({ mode: 'DISABLE' }, 'tls.auto-off')
  if (mesh.options.autoMtls === 'istio') {
    const namespace = namespaceMtls(mesh, service.namespace)
    if (namespace.value === 'DISABLE') return { value: { mode: 'DISABLE' }, because: [{ rule: 'tls.auto-istio', source: namespace.because[0]?.source ?? 'default', effect: 'chosen' }] }
  }
  if (service.resolution === 'none' && mesh.options.autoMtls === 'kith') return byDefault<UpstreamTls>({ mode: 'AUTO', sni, sans: [] }, service.headless ? 'tls.auto-headless' : 'tls.auto-address')
  if (service.resolution === 'none' || policy.loadBalancer?.value.simple === 'PASSTHROUGH') return forUnknownEndpoint(context, service, port, sni, sans)
  return byDefault<UpstreamTls>({ mode: 'AUTO', sni, sans }, 'tls.auto')
}

function fromRule(tls: Sourced<ClientTls>, autoSni: string, identities: readonly string[], service: MeshService, context: PlanContext): Decided<UpstreamTls> {
  const rule = tls.path.includes('portLevelSettings') ? 'tls.port' : tls.path.includes('subsets') ? 'tls.subset' : 'tls.destination'
  const because: Reason[] = [{ rule, source: refTo(tls.from, `${tls.path}.mode`), effect: 'chosen' }]
  if (!service.meshExternal && context.mesh.options.enableAutoMtls) because.push({ rule: 'tls.auto', source: 'default', effect: 'overruled' })
  const settings = tls.value
  // DISABLE is the enumeration's zero value: tls without a mode says it.
  const mode = settings.mode ?? 'DISABLE'
  if (mode === 'DISABLE') return { value: { mode }, because }
  if (mode === 'ISTIO_MUTUAL') return { value: { mode, sni: settings.sni ?? autoSni, sans: settings.subjectAltNames ?? identities }, because }
  // Istio: cluster_tls.go buildUpstreamClusterTLSContext: a Secret is for the workloads that a rule selects; of any other rule sidecars take neither it nor the TLS.
  if ((settings.credentialName ?? '') !== '' && tls.from.spec.workloadSelector === undefined) {
    return { value: { mode: 'DISABLE' }, because: [{ rule: 'tls.credential-unselected', source: refTo(tls.from, `${tls.path}.credentialName`), effect: 'chosen' }, ...because.map((r) => ({ ...r, effect: 'overruled' as const }))] }
  }
  const sans = settings.subjectAltNames ?? (service.subjectAltNames.length > 0 ? service.subjectAltNames : undefined)
  const optional = {
    sni: settings.sni === '' ? undefined : settings.sni, sans, caCertificates: settings.caCertificates === '' ? undefined : settings.caCertificates, caCrl: settings.caCrl === '' || (settings.credentialName ?? '') !== '' ? undefined : settings.caCrl, clientCertificate: settings.clientCertificate, privateKey: settings.privateKey,
    credentialName: settings.credentialName === '' ? undefined : settings.credentialName, insecureSkipVerify: settings.insecureSkipVerify,
  }
  return { value: { mode, ...(Object.fromEntries(Object.entries(optional).filter(([, v]) => v !== undefined)) as object) }, because }
}

/** The SPIFFE ids of every endpoint of the host, each also under the trust domain's aliases. */
function expectedIdentities(context: PlanContext, service: MeshService, port: ServicePort): string[] {
  return withAliases(context.mesh, [...service.subjectAltNames, ...context.endpoints(service, port).flatMap((e) => (e.identity === undefined ? [] : [e.identity]))])
}

export function withAliases(mesh: Mesh, own: readonly string[]): string[] {
  const { trustDomain, trustDomainAliases } = mesh.options
  const all = own.flatMap((id) => [id, ...trustDomainAliases.map((alias) => id.replace(`spiffe://${trustDomain}/`, `spiffe://${alias}/`))])
  return [...new Set(all)].sort()
}

/** What a server's port enforces; null where no sidecar stands before it. */
export function serverMtls(context: Pick<PlanContext, 'mesh'>, endpoint: MeshEndpoint): Decided<MtlsMode> | null {
  const workload = endpoint.workload
  return workload === undefined || !workload.sidecar.value || !redirectsInbound(workload, endpoint.port) ? null : decideMtls(context.mesh, workload, endpoint.port)
}

/** What automatic mTLS does to one endpoint. Port null: any that nothing names. */
export function decideEndpointTls(context: Pick<PlanContext, 'mesh'>, endpoint: Pick<MeshEndpoint, 'labels' | 'takesMtls' | 'namespace' | 'workload'> & { readonly port: number | null }, policy: EffectivePolicy): Decided<'ISTIO_MUTUAL' | 'DISABLE'> {
  const marked = policy.endpointTls
  if (marked !== undefined) {
    const mutual = marked.value.mode === 'ISTIO_MUTUAL' && endpoint.takesMtls
    return { value: mutual ? 'ISTIO_MUTUAL' : 'DISABLE', because: [{ rule: policy.replacedTls === undefined ? 'tls.destination' : 'tls.port-replaces', source: refTo(marked.from, `${marked.path}.mode`), effect: 'chosen' }] }
  }
  if (!endpoint.takesMtls) return { value: 'DISABLE', because: [{ rule: 'endpoint.no-sidecar', source: 'default', effect: 'chosen' }, ...(endpoint.workload?.sidecar.because ?? [])] }
  const { workload, port } = endpoint
  if (workload?.sidecar.value === true && context.mesh.options.autoMtls === 'kith') {
    if (!redirectsInbound(workload, port)) return { value: 'DISABLE', because: [{ rule: 'endpoint.not-redirected', source: notRedirectedBy(workload, port), effect: 'chosen' }] }
  }
  const labels = workload?.labels ?? endpoint.labels
  const mode = decideMtls(context.mesh, { namespace: endpoint.namespace, labels }, endpoint.port)
  if (mode.value === 'DISABLE') return { value: 'DISABLE', because: [{ rule: 'endpoint.disable', source: mode.because[0]?.source ?? 'default', effect: 'chosen' }] }
  return byDefault<'ISTIO_MUTUAL' | 'DISABLE'>('ISTIO_MUTUAL', 'endpoint.capable')
}
