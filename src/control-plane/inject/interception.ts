// What traffic goes by way of the sidecar: for the init container that writes the rules, as arguments; for a CNI plugin, as annotations.
import type { TemplateInput } from './template-types.ts'

export function statusPortOf(input: Pick<TemplateInput, 'annotations' | 'settings'>): number {
  const own = input.annotations['status.sidecar.istio.io/port']
  return own === undefined ? input.settings.statusPort : Number(own)
}

/** What the kubelet asks. */
export function probePortOf(input: Pick<TemplateInput, 'annotations' | 'settings' | 'proxyConfig'>): number {
  const own = input.annotations['status.sidecar.istio.io/port']
  return own === undefined ? agentPortOf(input) : Number(own)
}

/** Where the agent listens, and Prometheus scrapes: by the ProxyConfig that it is given, whatever the values say. */
export const agentPortOf = (input: Pick<TemplateInput, 'proxyConfig'>): number => Number(input.proxyConfig['statusPort'] ?? 15020)

export const modeOf = (i: TemplateInput): string => i.annotations['sidecar.istio.io/interceptionMode'] ?? String(i.proxyConfig['interceptionMode'] ?? i.settings.interceptionMode)

export function interceptionArgs(i: TemplateInput): string[] {
  const { settings: s, annotations: a } = i
  const traffic = (name: string, otherwise: string): string => a[`traffic.sidecar.istio.io/${name}`] ?? otherwise
  const excluded = ['15090', '15021', excludedInbound(i)]
  const optional = (flag: string, name: string, otherwise: string): string[] => (a[`traffic.sidecar.istio.io/${name}`] === undefined && otherwise === '' ? [] : [flag, traffic(name, otherwise)])
  const virtual = a['istio.io/reroute-virtual-interfaces'] ?? a['traffic.sidecar.istio.io/kubevirtInterfaces']
  return [
    '-p', '15001', '-z', '15006', '-u', String(i.proxyUid), '-m', modeOf(i), '-i', traffic('includeOutboundIPRanges', s.includeIpRanges), '-x', traffic('excludeOutboundIPRanges', s.excludeIpRanges), '-b', traffic('includeInboundPorts', s.includeInboundPorts),
    '-d', excluded.filter((p) => p !== '').join(','), ...optional('-q', 'includeOutboundPorts', s.includeOutboundPorts), ...optional('-o', 'excludeOutboundPorts', s.excludeOutboundPorts),
    ...(virtual === undefined ? [] : ['-k', virtual]), ...optional('-c', 'excludeInterfaces', ''),
  ]
}

/** What a CNI plugin redirects by: it sees the pod's annotations and nothing else. */
export function annotationsForCni(i: TemplateInput): Record<string, string> {
  const { settings: s, annotations: a } = i
  if (!s.cni) return {}
  const traffic = (name: string, otherwise: string): string => a[`traffic.sidecar.istio.io/${name}`] ?? otherwise
  const some = (name: string, value: string): Record<string, string> => (value === '' ? {} : { [`traffic.sidecar.istio.io/${name}`]: value })
  const networks = a['k8s.v1.cni.cncf.io/networks'] ?? ''
  return {
    'sidecar.istio.io/interceptionMode': modeOf(i), ...some('includeOutboundIPRanges', traffic('includeOutboundIPRanges', s.includeIpRanges)), ...some('excludeOutboundIPRanges', traffic('excludeOutboundIPRanges', s.excludeIpRanges)),
    'traffic.sidecar.istio.io/includeInboundPorts': traffic('includeInboundPorts', s.includeInboundPorts), 'traffic.sidecar.istio.io/excludeInboundPorts': excludedInbound(i),
    ...some('includeOutboundPorts', traffic('includeOutboundPorts', s.includeOutboundPorts)), ...some('excludeOutboundPorts', traffic('excludeOutboundPorts', s.excludeOutboundPorts)),
    ...(s.cniProvider === 'multus' ? { 'k8s.v1.cni.cncf.io/networks': withNetwork(networks, 'istio-cni') } : {}),
  }
}

/** Multus takes names (`default/istio-cni, other`) or JSON. */
function withNetwork(networks: string, name: string): string {
  if (networks.trim() === '') return `default/${name}`
  if (!networks.trim().startsWith('[')) return networks.split(',').some((n) => n.trim() === `default/${name}`) ? networks : `${networks}, default/${name}`
  const list = jsonList(networks)
  if (list === undefined) return networks
  return list.some((n) => n.name === name) ? networks : networks.replace(/\]\s*$/, `${list.length === 0 ? '' : ', '}{"name": "${name}", "namespace": "default"}]`)
}

function jsonList(text: string): readonly { readonly name?: unknown }[] | undefined {
  try {
    const parsed: unknown = JSON.parse(text)
    return Array.isArray(parsed) ? (parsed as { readonly name?: unknown }[]) : undefined
  } catch {
    return undefined
  }
}

/** The application's exceptions, and the agent's own port; the user's own text where that adds nothing. */
function excludedInbound(i: TemplateInput): string {
  const own = i.annotations['traffic.sidecar.istio.io/excludeInboundPorts'] ?? i.settings.excludeInboundPorts
  const statusPort = String(statusPortOf(i))
  if (statusPort === '0' || own.split(',').includes(statusPort)) return own
  return [...own.split(',').map((p) => p.trim()).filter((p) => p !== ''), statusPort].join(',')
}
