// The URL of a call, and what its host means to the caller: DNS as in a cluster, search domains included.
import { isIP } from 'node:net'
import { normalizePath } from '#engine'
import { pathRules } from '#plan'
import { selectWorkloads, type Mesh, type MeshService, type Workload } from '#mesh'

export interface Target {
  readonly scheme: 'http' | 'https' | 'tcp' | 'grpc' | 'udp'
  /** As the application writes it. */
  readonly host: string
  readonly port: number
  readonly path: string
  /** What the Host header says. */
  readonly authority: string
  /** A scheme stood there; else tcp is a guess. */
  readonly written: boolean
}

const defaultPorts: Readonly<Record<string, number>> = { http: 80, https: 443, grpc: 80 }

/** undefined where the text is no target. */
export function parseTarget(text: string): Target | undefined {
  const match = /^(?:(https?|tcp|grpc|udp):\/\/)?(\[[0-9a-fA-F:.]+\]|[^:/?#\s*@%[\]]+)(?::(\d{1,5}))?([/?][^#]*)?(?:#.*)?$/.exec(text)
  if (match === null) return undefined
  const scheme = (match[1] ?? 'tcp') as Target['scheme']
  const port = match[3] === undefined ? defaultPorts[scheme] : Number(match[3])
  if (port === undefined || port < 1 || port > 65535) return undefined
  const host = (match[2] as string).toLowerCase().replace(/\.$/, '')
  const plain = host.startsWith('[') ? host.slice(1, -1) : host
  const path = match[4] ?? '/'
  return { scheme, host: plain, port, path: path.startsWith('/') ? path : `/${path}`, authority: match[3] === undefined ? host : `${host}:${port}`, written: match[1] !== undefined }
}

/** What to write instead, with the ports that the host has. */
export function wrongTarget(mesh: Mesh, client: Workload, text: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase()
  if (scheme !== undefined && !['http', 'https', 'tcp', 'grpc', 'udp'].includes(scheme)) return `"${text}": the scheme ${scheme} is not known; there are http, https, grpc, tcp and udp`
  const host = (text.split('://').at(-1) ?? '').toLowerCase().replace(/[/:?].*$/, '')
  const service = host === '' ? undefined : resolveTarget(mesh, client, host).service
  if (service !== undefined && service.ports.length > 0 && !/:\d/.test(text)) {
    const written = (p: MeshService['ports'][number]): string => `${scheme ?? (p.protocol === 'http' || p.protocol === 'http2' ? 'http' : p.protocol === 'grpc' ? 'grpc' : 'tcp')}://${host}:${p.number}`
    return `"${text}" names no port: write ${service.ports.slice(0, 4).map(written).join(' or ')}`
  }
  return `"${text}" is no target: write http://host:port/path, tcp://host:port or address:port`
}

/** Matches and policies see the path that the proxy has normalised. */
export function asRead(path: string, mesh: Mesh): string {
  const normal = normalizePath(path, pathRules(mesh))
  return normal.kind === 'path' ? normal.path : path
}

/** The caller's own pod, whose calls to itself no sidecar sees. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
}

export interface Resolved {
  /** Addresses that the application would connect to; empty for a host that only DNS outside knows. */
  readonly addresses: readonly string[]
  /** The service behind the name, whoever may see it. */
  readonly service?: MeshService
  /** A pod behind the address or name. */
  readonly workload?: Workload
  /** ExternalName Services on the way, the one that was called first. */
  readonly aliases?: readonly MeshService[]
  /** The name is the caller's own hostname. */
  readonly hostname?: boolean
}

export function resolveTarget(mesh: Mesh, client: Workload, host: string): Resolved {
  if (isIP(host) !== 0) {
    const workload = mesh.workloadByAddress.get(host)
    const service = mesh.services.find((s) => s.addresses.includes(host))
    return { addresses: [host], ...(workload === undefined ? {} : { workload }), ...(service === undefined ? {} : { service }) }
  }
  // A container's /etc/hosts is asked before any name server.
  if (host === hostnameOf(client)) return { addresses: client.addresses, workload: client, hostname: true }
  return resolveName(mesh, client, host, 0)
}

/** What the kubelet writes beside the pod's own address; undefined where the pod's name is not known yet. */
function hostnameOf({ object, hostname, pod, spec }: Workload): string | undefined {
  if (spec.hostNetwork === true) return undefined
  return (hostname ?? (object.kind === 'Pod' ? pod : undefined))?.toLowerCase()
}

/** DNS follows no more names than this. */
const mostAliases = 8

function resolveName(mesh: Mesh, client: Workload, host: string, depth: number): Resolved {
  const { domain } = mesh.options
  const tries = [`${host}.${client.namespace}.svc.${domain}`, `${host}.svc.${domain}`, `${host}.${domain}`, host]
  for (const name of tries) {
    const found = (mesh.servicesByHost.get(name) ?? []).find((s) => s.origin === 'kubernetes') ?? podOfHeadless(mesh, name)
    if (found !== undefined && 'host' in found && found.externalName !== undefined && depth < mostAliases) {
      const target = resolveName(mesh, client, found.externalName.toLowerCase().replace(/\.$/, ''), depth + 1)
      return target.service === undefined ? { addresses: found.addresses, service: found } : { ...target, aliases: [found, ...(target.aliases ?? [])] }
    }
    if (found !== undefined) return 'host' in found ? { addresses: found.headless ? podsOf(mesh, found) : found.addresses, service: found } : { addresses: found.addresses, workload: found }
  }
  const entry = (mesh.servicesByHost.get(host) ?? [])[0]
  return entry === undefined ? { addresses: [] } : { addresses: entry.addresses, service: entry }
}

/** What DNS answers for a headless service: its pods. */
function podsOf(mesh: Mesh, service: MeshService): readonly string[] {
  return service.selector === undefined ? [] : selectWorkloads(mesh, service.namespace, service.selector).flatMap((w) => w.addresses)
}

/** `kafka-0.kafka.foo.svc.cluster.local`: one pod of a headless service. */
function podOfHeadless(mesh: Mesh, name: string): Workload | undefined {
  const dot = name.indexOf('.')
  const service = (mesh.servicesByHost.get(name.slice(dot + 1)) ?? []).find((s) => s.headless)
  if (service === undefined) return undefined
  const pod = name.slice(0, dot)
  return mesh.workloads.find((w) => w.namespace === service.namespace && (w.hostname === pod || isReplica(w, pod, service.name)))
}

/** Files have the StatefulSet alone, which stands for each of its pods: `kafka-0`, `kafka-1` … */
function isReplica({ object, name }: Workload, pod: string, service: string): boolean {
  if (object.kind !== 'StatefulSet') return false
  const { replicas = 1, serviceName, ordinals } = object.spec as { readonly replicas?: number; readonly serviceName?: string; readonly ordinals?: { readonly start?: number } }
  const first = ordinals?.start ?? 0
  const ordinal = /^(0|[1-9]\d*)$/.exec(pod.startsWith(`${name}-`) ? pod.slice(name.length + 1) : '')?.[1]
  return serviceName === service && ordinal !== undefined && Number(ordinal) >= first && Number(ordinal) < first + replicas
}
