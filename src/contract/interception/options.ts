// What shall be intercepted, in the words of the injector's annotations and of istio-iptables; and reading it from a pod.
import { isIPv4, isIPv6 } from 'node:net'

export type PortSelection = '*' | readonly number[]
export type CidrSelection = '*' | readonly string[]

/** How the sidecar's own traffic is told apart from the application's. */
export type Exemption =
  | { readonly by: 'owner'; readonly uid: number; readonly gid: number }
  /** Where only one user exists (a user namespace with one mapped uid): SO_MARK, which needs CAP_NET_ADMIN. */
  | { readonly by: 'mark'; readonly mark: number }

export interface InterceptionOptions {
  /** Where outbound connections go. Default 15001. */
  readonly outboundPort?: number
  /** Where inbound connections go. Default 15006. */
  readonly inboundPort?: number
  /** Default: uid and gid 1337. */
  readonly exemption?: Exemption
  /** Default '*'; an empty list: no inbound interception. */
  readonly includeInboundPorts?: PortSelection
  /** Besides the sidecar's own (15008, 15020, 15021, 15090). */
  readonly excludeInboundPorts?: readonly number[]
  /** Redirected whatever their address. */
  readonly includeOutboundPorts?: readonly number[]
  readonly excludeOutboundPorts?: readonly number[]
  /** Default '*'. */
  readonly includeOutboundCidrs?: CidrSelection
  readonly excludeOutboundCidrs?: readonly string[]
  /** Whatever arrives from these, or leaves by them, is not intercepted. */
  readonly excludeInterfaces?: readonly string[]
  /** Interfaces of virtual machines inside the pod: what arrives from them counts as the application's own outbound traffic. */
  readonly virtualInterfaces?: readonly string[]
  /** Default: both. */
  readonly families?: readonly ('ip' | 'ip6')[]
}

/** Ports of the sidecar that the node and Prometheus reach directly: status, health, Envoy's own metrics. */
export const sidecarPorts = [15090, 15021, 15020]
export const sidecarMark = 0x539

export interface InterceptionReading {
  readonly options: InterceptionOptions
  /** NONE: no rules are written, and no traffic is redirected. TPROXY is done as REDIRECT. */
  readonly mode: 'REDIRECT' | 'TPROXY' | 'NONE'
  /** One sentence for each annotation that can't be read; it has no effect then. */
  readonly faults: readonly { readonly annotation: string; readonly message: string }[]
}

/** What holds where a pod has no annotation: values of an installation, as text, by the annotation's short name; `mode`: meshConfig's. */
export interface InterceptionDefaults {
  readonly texts?: Readonly<Record<string, string>>
  readonly mode?: string
}

const prefix = 'traffic.sidecar.istio.io/'
const modeAnnotation = 'sidecar.istio.io/interceptionMode'
const proxyConfigAnnotation = 'proxy.istio.io/config'
const statusPortAnnotation = 'status.sidecar.istio.io/port'
const virtualAnnotations = ['istio.io/reroute-virtual-interfaces', `${prefix}kubevirtInterfaces`]

/** By option: the annotations that say it, the one that counts first. https://istio.io/latest/docs/reference/config/annotations/ */
const annotations: Readonly<Partial<Record<keyof InterceptionOptions, readonly string[]>>> = {
  includeInboundPorts: [`${prefix}includeInboundPorts`], excludeInboundPorts: [`${prefix}excludeInboundPorts`, statusPortAnnotation],
  includeOutboundPorts: [`${prefix}includeOutboundPorts`], excludeOutboundPorts: [`${prefix}excludeOutboundPorts`],
  includeOutboundCidrs: [`${prefix}includeOutboundIPRanges`], excludeOutboundCidrs: [`${prefix}excludeOutboundIPRanges`],
  excludeInterfaces: [`${prefix}excludeInterfaces`], virtualInterfaces: virtualAnnotations,
}

/** The pod's annotation that says this option; undefined: none does. `mode`: the interception mode. */
export function annotationOf(option: keyof InterceptionOptions | 'mode', given: Readonly<Record<string, string>>): string | undefined {
  if (option === 'mode') return given[modeAnnotation] !== undefined ? modeAnnotation : modeOfProxyConfig(given) === undefined ? undefined : proxyConfigAnnotation
  return (annotations[option] ?? []).find((name) => given[name] !== undefined)
}

/** The pod's own ProxyConfig is YAML or JSON; of it one word is of interest. */
function modeOfProxyConfig(given: Readonly<Record<string, string>>): string | undefined {
  return /(?:^|[\s{,"'])interceptionMode["']?\s*:\s*["']?([A-Z]+)/.exec(given[proxyConfigAnnotation] ?? '')?.[1]
}

/** The pod's annotations `traffic.sidecar.istio.io/…` and `sidecar.istio.io/interceptionMode`, over the installation's defaults. */
export function interceptionOf(given: Readonly<Record<string, string>>, { texts = {}, mode = 'REDIRECT' }: InterceptionDefaults = {}): InterceptionReading {
  const faults: { annotation: string; message: string }[] = []
  const read = <T>(option: keyof InterceptionOptions, parse: (text: string) => T | undefined): T | undefined => {
    const annotation = annotationOf(option, given)
    const name = annotation ?? annotations[option]?.[0] ?? ''
    const text = annotation === undefined || annotation === statusPortAnnotation ? texts[name.slice(prefix.length)] : given[annotation]
    if (text === undefined) return undefined
    const parsed = parse(text.trim())
    if (parsed === undefined) faults.push({ annotation: name, message: `${JSON.stringify(text)} can't be read` })
    return parsed
  }
  const excluded = read('excludeInboundPorts', portsOf)
  const status = (portsOf(given[statusPortAnnotation] ?? '') ?? []).filter((p) => p > 0)
  const options: { -readonly [K in keyof InterceptionOptions]?: InterceptionOptions[K] | undefined } = {
    includeInboundPorts: read('includeInboundPorts', orAll(portsOf)),
    excludeInboundPorts: status.length === 0 ? excluded : [...new Set([...(excluded ?? []), ...status])],
    includeOutboundPorts: read('includeOutboundPorts', portsOf),
    excludeOutboundPorts: read('excludeOutboundPorts', portsOf),
    includeOutboundCidrs: read('includeOutboundCidrs', orAll(cidrsOf)),
    excludeOutboundCidrs: read('excludeOutboundCidrs', cidrsOf),
    excludeInterfaces: read('excludeInterfaces', namesOf),
    virtualInterfaces: read('virtualInterfaces', namesOf),
  }
  const asked = given[modeAnnotation] ?? modeOfProxyConfig(given) ?? mode
  return {
    options: Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as InterceptionOptions,
    mode: asked === 'NONE' || asked === 'TPROXY' ? asked : 'REDIRECT', faults,
  }
}

/** `net1, net2`: names of interfaces, as Linux takes them. */
export const namesOf = (text: string): string[] | undefined => list(text, (name) => (/^[^\s/]{1,15}$/.test(name) ? name : undefined))
/** `80, 443`; undefined: it can't be read. */
export const portsOf = (text: string): number[] | undefined => list(text, (p) => (/^\d{1,5}$/.test(p) && Number(p) <= 65535 ? Number(p) : undefined))
/** `10.0.0.0/8, fd00::/8` */
export const cidrsOf = (text: string): string[] | undefined => list(text, (c) => (isCidr(c) ? c : undefined))
/** The same, or `*`. */
export const orAll = <T>(parse: (text: string) => T | undefined) => (text: string): T | '*' | undefined => (text === '*' ? '*' : parse(text))

function list<T>(text: string, parse: (item: string) => T | undefined): T[] | undefined {
  const items = text.split(',').map((s) => s.trim()).filter((s) => s !== '').map(parse)
  return items.includes(undefined) ? undefined : (items as T[])
}

function isCidr(text: string): boolean {
  const [address = '', length, rest] = text.split('/')
  if (rest !== undefined || (!isIPv4(address) && !isIPv6(address))) return false
  return length === undefined || (/^\d{1,3}$/.test(length) && Number(length) <= (isIPv4(address) ? 32 : 128))
}
