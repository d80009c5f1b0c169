// kith.yaml: what this machine must know besides the cluster's YAML: which command stands for an image, which servers are outside the mesh.
import { existsSync, readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { basename, join } from 'node:path'
import type { Problem, Ref } from '#lib/problem.ts'
import { nearest } from '#lib/nearest.ts'
import { isRecord } from '#api'
import { parseYaml, type RawDocument } from '#sources'

/** A local command that stands for an image: its entry point. */
export interface LocalImage {
  /** The image's entry point; a container's `command` takes its place, `args` follow it. `node` is the Node that runs Kith. */
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Relative to kith.yaml's folder. Default: that folder. */
  readonly workingDir?: string
}

/** A server outside of every pod, with an address and names of its own. */
export interface ExternalServer {
  readonly name: string
  readonly hosts: readonly string[]
  /** Default: the next free one of 203.0.113.0/24 (reserved for documentation). */
  readonly address?: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** It is ready once these accept connections. */
  readonly ports: readonly number[]
}

export interface MeshFile {
  /** undefined where the folder has none. */
  readonly path?: string
  readonly name?: string
  /** Files and folders of the mesh, relative to the folder. Default: all its YAML files but kith.yaml. */
  readonly resources?: readonly string[]
  /** By image reference, as written in `containers[].image`; one without a tag covers all tags. */
  readonly images: Readonly<Record<string, LocalImage>>
  readonly external: readonly ExternalServer[]
  /** As in the ConfigMap `istio`. */
  readonly meshConfig?: Readonly<Record<string, unknown>>
  readonly proxy?: 'kith' | 'envoy'
  /** Lifetime of workload certificates in seconds (`workloadCertTtl: 20s`). */
  readonly certTtlSeconds?: number
  readonly problems: readonly Problem[]
}

export const meshFileNames = ['kith.yaml', 'kith.yml']

/** Reads the folder's kith.yaml. A folder without one is a mesh whose containers name their commands themselves. */
export function readMeshFile(dir: string): MeshFile {
  const path = meshFileNames.map((n) => join(dir, n)).find((p) => existsSync(p))
  if (path === undefined) return { images: {}, external: [], problems: [] }
  const parsed = parseYaml(readFileSync(path, 'utf8'), path)
  const [document, second] = parsed.documents
  if (document === undefined) return { path, images: {}, external: [], problems: parsed.problems }
  const reader = new Reader(document)
  if (second !== undefined) reader.fault('', `${basename(path)} must hold one document`)
  return { path, ...decodeMeshFile(reader), problems: [...parsed.problems, ...reader.problems] }
}

const topFields = ['apiVersion', 'kind', 'metadata', 'spec']
const specFields = ['resources', 'images', 'external', 'meshConfig', 'proxy', 'workloadCertTtl']
const imageFields = ['command', 'env', 'workingDir']
const externalFields = ['name', 'hosts', 'address', 'command', 'env', 'ports']

function decodeMeshFile(reader: Reader): Omit<MeshFile, 'path' | 'problems'> {
  const root = reader.record(reader.document.value, '', topFields)
  if (root['apiVersion'] !== 'kith.dev/v1alpha1') reader.fault('apiVersion', `apiVersion must be kith.dev/v1alpha1, not ${JSON.stringify(root['apiVersion'] ?? null)}`)
  if (root['kind'] !== 'LocalMesh') reader.fault('kind', `kind must be LocalMesh, not ${JSON.stringify(root['kind'] ?? null)}`)
  const metadata = isRecord(root['metadata']) ? root['metadata'] : {}
  const spec = reader.record(root['spec'] ?? {}, 'spec', specFields)
  const images = Object.entries(reader.record(spec['images'] ?? {}, 'spec.images')).map(([image, value]) => [image, decodeImage(reader, value, `spec.images.${image}`)] as const)
  const external = reader.list(spec['external'] ?? [], 'spec.external').map((value, i) => decodeExternal(reader, value, `spec.external[${i}]`))
  const meshConfig = spec['meshConfig'] === undefined ? undefined : reader.record(spec['meshConfig'], 'spec.meshConfig')
  const proxy = spec['proxy']
  if (proxy !== undefined && proxy !== 'kith' && proxy !== 'envoy') reader.fault('spec.proxy', `proxy must be kith or envoy, not ${JSON.stringify(proxy)}`)
  const ttl = spec['workloadCertTtl'] === undefined ? undefined : parseTtl(reader, spec['workloadCertTtl'])
  return {
    ...(typeof metadata['name'] === 'string' ? { name: metadata['name'] } : {}),
    ...(spec['resources'] === undefined ? {} : { resources: reader.texts(spec['resources'], 'spec.resources') }),
    images: Object.fromEntries(images), external,
    ...(meshConfig === undefined ? {} : { meshConfig }),
    ...(proxy === 'kith' || proxy === 'envoy' ? { proxy } : {}),
    ...(ttl === undefined ? {} : { certTtlSeconds: ttl }),
  }
}

function decodeImage(reader: Reader, value: unknown, path: string): LocalImage {
  const r = reader.record(value, path, imageFields)
  const workingDir = r['workingDir'] === undefined ? undefined : reader.text(r['workingDir'], `${path}.workingDir`)
  return { command: reader.command(r['command'], `${path}.command`), env: reader.env(r['env'], `${path}.env`), ...(workingDir === undefined ? {} : { workingDir }) }
}

function decodeExternal(reader: Reader, value: unknown, path: string): ExternalServer {
  const r = reader.record(value, path, externalFields)
  const hosts = reader.texts(r['hosts'] ?? [], `${path}.hosts`)
  if (hosts.length === 0) reader.fault(`${path}.hosts`, 'an external server needs at least one host name')
  const address = r['address']
  if (address !== undefined && !(typeof address === 'string' && isIPv4(address))) reader.fault(`${path}.address`, `${JSON.stringify(address)} is no IPv4 address`)
  const ports = reader.list(r['ports'] ?? [], `${path}.ports`)
  for (const [i, p] of ports.entries()) if (!Number.isInteger(p) || (p as number) < 1 || (p as number) > 65535) reader.fault(`${path}.ports[${i}]`, `${JSON.stringify(p)} is no port`)
  return {
    name: typeof r['name'] === 'string' ? r['name'] : (hosts[0] ?? path), hosts, command: reader.command(r['command'], `${path}.command`), env: reader.env(r['env'], `${path}.env`),
    ports: ports.filter((p): p is number => Number.isInteger(p)), ...(typeof address === 'string' ? { address } : {}),
  }
}

function parseTtl(reader: Reader, value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^(\d+)(s|m|h)$/.exec(value) : null
  if (match === null) return void reader.fault('spec.workloadCertTtl', `workloadCertTtl must look like 20s, 10m or 24h, not ${JSON.stringify(value)}`)
  return Number(match[1]) * { s: 1, m: 60, h: 3600 }[match[2] as 's' | 'm' | 'h']
}

/** Reads loosely typed values; what does not fit is a problem with its place, and something empty in its stead. */
class Reader {
  readonly document: RawDocument
  readonly problems: Problem[] = []
  constructor(document: RawDocument) {
    this.document = document
  }
  fault(path: string, message: string, help?: string): void {
    const { file, line, locate } = this.document.origin
    const place = locate?.(path)
    const at = place?.line ?? line
    const ref: Ref = { kind: 'LocalMesh', namespace: '', name: 'kith.yaml', path, ...(file === undefined ? {} : { file }), ...(at === undefined ? {} : { line: at }) }
    this.problems.push({ code: 'KITH0201', severity: 'error', ref, message, ...(help === undefined ? {} : { help }) })
  }
  record(value: unknown, path: string, known?: readonly string[]): Record<string, unknown> {
    if (!isRecord(value)) {
      this.fault(path, `${path === '' ? 'the document' : path} must be a map`)
      return {}
    }
    for (const key of known === undefined ? [] : Object.keys(value).filter((k) => !known.includes(k))) {
      const near = nearest(key, known as string[])
      this.fault(path === '' ? key : `${path}.${key}`, `unknown field ${JSON.stringify(key)}`, near === undefined ? undefined : `did you mean ${JSON.stringify(near)}?`)
    }
    return value
  }
  list(value: unknown, path: string): readonly unknown[] {
    if (Array.isArray(value)) return value
    this.fault(path, `${path} must be a list`)
    return []
  }
  text(value: unknown, path: string): string | undefined {
    if (typeof value === 'string') return value
    return void this.fault(path, `${path} must be a text`)
  }
  texts(value: unknown, path: string): string[] {
    return this.list(value, path).flatMap((v, i) => this.text(v, `${path}[${i}]`) ?? [])
  }
  command(value: unknown, path: string): string[] {
    const found = value === undefined ? [] : this.list(value, path).map(String)
    if (found.length === 0) this.fault(path, 'a command is needed: a list, the program first')
    return found
  }
  env(value: unknown, path: string): Record<string, string> {
    return value === undefined ? {} : Object.fromEntries(Object.entries(this.record(value, path)).map(([k, v]) => [k, String(v)]))
  }
}
