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
  /** One sentence for each annotation that can't be read; it has no effect then. */
  readonly faults: readonly { readonly annotation: string; readonly message: string }[]
}

const prefix = 'traffic.sidecar.istio.io/'

/** The pod's `traffic.sidecar.istio.io/…` annotations. */
export function interceptionOf(annotations: Readonly<Record<string, string>>): InterceptionReading {
  const faults: { annotation: string; message: string }[] = []
  const read = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = annotations[prefix + name]
    if (text === undefined) return undefined
    const parsed = parse(text.trim())
    if (parsed === undefined) faults.push({ annotation: prefix + name, message: `${JSON.stringify(text)} can't be read` })
    return parsed
  }
  const options: { -readonly [K in keyof InterceptionOptions]?: InterceptionOptions[K] | undefined } = {
    includeInboundPorts: read('includeInboundPorts', orAll(portsOf)),
    excludeInboundPorts: read('excludeInboundPorts', portsOf),
    includeOutboundPorts: read('includeOutboundPorts', portsOf),
    excludeOutboundPorts: read('excludeOutboundPorts', portsOf),
    includeOutboundCidrs: read('includeOutboundIPRanges', orAll(cidrsOf)),
    excludeOutboundCidrs: read('excludeOutboundIPRanges', cidrsOf),
  }
  return { options: Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as InterceptionOptions, faults }
}

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
