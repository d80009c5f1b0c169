// Names, addresses and ports as Istio's validation takes them. Each function says what is wrong, or undefined.
import { isIP } from 'node:net'

const label = '[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?'
const labelPattern = new RegExp(`^${label}$`)
const wildcardLabel = new RegExp(`^(?:\\*|(?:\\*|\\*-)?${label})$`)
const qualified = '(?:[A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]'
const labelKey = new RegExp(`^(?:(${label}(?:\\.${label})*)/)?(${qualified})$`)
const labelValue = new RegExp(`^(?:${qualified})?$`)

export const isLabel = (text: string): boolean => text.length <= 63 && labelPattern.test(text)

export function portFault(port: number): string | undefined {
  return port >= 1 && port <= 65535 ? undefined : `port ${port} is not in the range 1 to 65535`
}

export function portNameFault(name: string): string | undefined {
  return isLabel(name) ? undefined : `${JSON.stringify(name)} is no port name: letters, digits and -, at most 63 characters`
}

function labelsFault(domain: string): string | undefined {
  const parts = domain.split('.')
  const top = parts.at(-1) as string
  if (/^[-+]?\d+$/.test(top)) return `the domain name ${JSON.stringify(domain)} can’t end in a number`
  const wrong = parts.find((part, i) => !(i === parts.length - 1 && part === '') && !isLabel(part))
  return wrong === undefined ? undefined : `the domain name ${JSON.stringify(domain)} has the invalid label ${JSON.stringify(wrong)}`
}

function lengthFault(domain: string): string | undefined {
  if (domain.length > 255) return 'the domain name has more than 255 characters'
  return domain === '' ? 'the domain name is empty' : undefined
}

export const fqdnFault = (name: string): string | undefined => lengthFault(name) ?? labelsFault(name)

/** A domain name whose first label may be or begin with `*`. */
export function wildcardDomainFault(domain: string): string | undefined {
  const length = lengthFault(domain)
  if (length !== undefined) return length
  const dot = domain.indexOf('.')
  const first = dot === -1 ? domain : domain.slice(0, dot)
  if (first.length > 63 || !wildcardLabel.test(first)) return `the domain name ${JSON.stringify(domain)} has the invalid label ${JSON.stringify(first)}`
  return dot === -1 ? undefined : labelsFault(domain.slice(dot + 1))
}

/** As `wildcardDomainFault`, for a VirtualService on a gateway, whose SNI hosts may be those that sidecars make. */
export function gatewayDomainFault(sni: boolean, domain: string): string | undefined {
  return sni && /^outbound_\.\d/.test(domain) ? undefined : wildcardDomainFault(domain)
}

export const isAddress = (text: string): boolean => isIP(text) !== 0
export const addressFault = (text: string): string | undefined => (isAddress(text) ? undefined : `${JSON.stringify(text)} is no IP address`)

/** `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32` */
export function subnetFault(text: string): string | undefined {
  const slash = text.indexOf('/')
  if (slash === -1) return addressFault(text)
  const family = text.includes('%') ? 0 : isIP(text.slice(0, slash))
  const bits = text.slice(slash + 1)
  const fits = /^(0|[1-9]\d{0,2})$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
  return family !== 0 && fits ? undefined : `${JSON.stringify(text)} is no address range`
}

export function unixFault(path: string): string | undefined {
  if (path === '') return 'the unix address is empty'
  if (path.startsWith('@')) return undefined
  return path.startsWith('/') && !path.endsWith('/') ? undefined : `${JSON.stringify(path)} is no absolute path of a file`
}

/** The first wrong entry of a set of labels. */
export function labelSetFault(labels: Readonly<Record<string, string>> | undefined): string | undefined {
  for (const [key, value] of Object.entries(labels ?? {})) {
    const m = labelKey.exec(key)
    if (m === null || (m[1] ?? '').length > 253 || (m[2] as string).length > 63) return `${JSON.stringify(key)} is no label key`
    if (!labelValue.test(value)) return `${JSON.stringify(value)} is no label value (of ${key})`
  }
  return undefined
}

const protocols: ReadonlySet<string> = new Set(['tcp', 'udp', 'grpc', 'grpc-web', 'http', 'http_proxy', 'http2', 'https', 'tls', 'mongo', 'redis', 'mysql'])
export const isProtocol = (text: string): boolean => protocols.has(text.toLowerCase())
export const isHttpProtocol = (text: string): boolean => ['http', 'http2', 'http_proxy', 'grpc', 'grpc-web'].includes(text.toLowerCase())
export const isTlsProtocol = (text: string): boolean => ['https', 'tls'].includes(text.toLowerCase())
export const isTcpProtocol = (text: string): boolean => ['tcp', 'https', 'tls', 'mongo', 'redis', 'mysql'].includes(text.toLowerCase())

/** An empty protocol is detected. */
export const protocolFault = (text: string | undefined): string | undefined =>
  (text ?? '') === '' || isProtocol(text as string) ? undefined : `${JSON.stringify(text)} is no protocol that Istio knows: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, REDIS, MYSQL, TCP, TLS, UDP`

const starSuffix = (host: string): string => host.slice(1)
const isWild = (host: string): boolean => host.startsWith('*')

/** Whether two hosts, wildcards or not, have a name in common. */
export function hostsMeet(a: string, b: string): boolean {
  if (isWild(a) && isWild(b)) return starSuffix(a).endsWith(starSuffix(b)) || starSuffix(b).endsWith(starSuffix(a))
  if (isWild(a)) return b.endsWith(starSuffix(a))
  return isWild(b) ? a.endsWith(starSuffix(b)) : a === b
}

/** Whether every name of `a` is one of `b`. */
export function hostWithin(a: string, b: string): boolean {
  if (isWild(a) && isWild(b)) return starSuffix(a).endsWith(starSuffix(b))
  return isWild(a) ? false : hostsMeet(a, b)
}
