// The functions that Istio adds for its injection templates. Istio: pkg/kube/inject/template.go, CreateInjectionFuncmap.
import { isRecord } from '#api'
import { goFunctions, type Yaml } from './functions.ts'
import { proxyDefaults } from './proxy-defaults.ts'
import type { TemplateFunctions } from './run.ts'
import { printed, Struct, unwrap } from './values.ts'

const text = (value: unknown): string => (value === undefined || value === null ? '' : printed(value))
const isSet = (value: unknown): boolean => value !== undefined && value !== null && value !== ''

/** `valueOrDefault` and `annotation` treat an empty text as no value and as a value, as Istio's do. */
export function injectionFunctions(yaml: Yaml): TemplateFunctions {
  const json = (value: unknown): string => JSON.stringify(unwrap(value) ?? {})
  return {
    ...goFunctions(yaml),
    valueOrDefault: (value, otherwise) => (isSet(value) ? value : otherwise),
    annotation: (meta, name, otherwise) => annotationsOf(meta)[text(name)] ?? text(otherwise),
    isset: (map, key) => isRecord(unwrap(map)) && Object.hasOwn(unwrap(map) as object, text(key)),
    toJSON: json, toJsonMap: (...maps) => JSON.stringify(Object.assign({}, ...maps.map((m) => unwrap(m) ?? {}))), fromJSON: (v) => JSON.parse(text(v)) as unknown, structToJSON: json, protoToJSON: (v) => JSON.stringify(withoutDefaults(unwrap(v))),
    mergeMaps: (...maps) => Object.assign({}, ...maps.map((m) => unwrap(m) ?? {})) as unknown, omitNil: (v) => withoutNil(unwrap(v)), otelResourceAttributes, strdict: (...v) => Object.fromEntries(Array.from({ length: Math.ceil(v.length / 2) }, (_, i) => [text(v[2 * i]), text(v[2 * i + 1])])),
    // The first line stays where it is, unlike sprig's.
    indent: (spaces, value) => text(value).split('\n').map((l, i) => (i === 0 ? l : ' '.repeat(Math.min(Number(spaces), 200)) + l)).join('\n'),
    directory: (path) => text(path).slice(0, text(path).lastIndexOf('/') + 1), contains: (needle, hay) => text(hay).includes(text(needle)), toLower: (v) => text(v).toLowerCase(), formatDuration: text,
    excludeInboundPort, includeInboundPorts: (containers) => portsOf(containers, () => true), applicationPorts: (containers) => portsOf(containers, (c) => c['name'] !== 'istio-proxy'), kubevirtInterfaces: text, appendMultusNetwork,
    // The control plane's environment is not the templates' to read.
    env: (_name, otherwise) => text(otherwise),
  }
}

function annotationsOf(meta: unknown): Record<string, string> {
  const found = meta instanceof Struct ? meta.field('Annotations') : undefined
  return isRecord(found) ? (found as Record<string, string>) : {}
}

function excludeInboundPort(port: unknown, excluded: unknown): string {
  const wanted = text(port).trim()
  const there = text(excluded).split(',').map((p) => p.trim()).filter((p) => p !== '')
  return wanted === '' || wanted === '0' || there.includes(wanted) ? text(excluded) : [...there, wanted].join(',')
}

function portsOf(containers: unknown, counts: (container: Record<string, unknown>) => boolean): string {
  const list = unwrap(containers)
  if (!Array.isArray(list)) return ''
  const ports = (list as Record<string, unknown>[]).filter((c) => isRecord(c) && counts(c)).flatMap((c) => (Array.isArray(c['ports']) ? (c['ports'] as Record<string, unknown>[]) : []))
  return ports.filter((p) => p['protocol'] !== 'UDP' && p['protocol'] !== 'SCTP').map((p) => String(p['containerPort'])).join(',')
}

function appendMultusNetwork(existing: unknown, network: unknown): string {
  const [before, name] = [text(existing), text(network)]
  if (before === '') return name
  const end = before.lastIndexOf(']')
  if (end === -1) return before.split(',').some((n) => n.trim() === name) ? before : `${before}, ${name}`
  const networks = JSON.parse(before) as { name?: unknown; namespace?: unknown }[]
  const [short, namespace] = name.includes('/') ? [name.slice(name.indexOf('/') + 1), name.slice(0, name.indexOf('/'))] : [name, '']
  const ours = `{"name": ${JSON.stringify(short)}${namespace === '' ? '' : `, "namespace": ${JSON.stringify(namespace)}`}}`
  return networks.some((n) => n.name === short && (n.namespace ?? '') === namespace) ? before : `${before.slice(0, end)}, ${ours}${before.slice(end)}`
}

function withoutNil(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNil).filter((v) => v !== null && v !== undefined)
  if (!isRecord(value)) return value ?? undefined
  const kept = Object.entries(value).map(([k, v]) => [k, withoutNil(v)] as const).filter(([, v]) => v !== null && v !== undefined)
  return kept.length === 0 && Object.keys(value).length > 0 ? undefined : Object.fromEntries(kept)
}

/** OTEL_RESOURCE_ATTRIBUTES where a provider of meshConfig asks for OpenTelemetry's names; else nothing. */
function otelResourceAttributes(mesh: unknown, annotations: unknown, labels: unknown, namespace: unknown, containers: unknown): string {
  const config = unwrap(mesh)
  const providers = isRecord(config) && Array.isArray(config['extensionProviders']) ? (config['extensionProviders'] as unknown[]) : []
  if (!providers.some((p) => isRecord(p) && isRecord(p['opentelemetry']) && p['opentelemetry']['serviceAttributeEnrichment'] === 'OTEL_SEMANTIC_CONVENTIONS')) return ''
  const list = unwrap(containers)
  const [first, ...others] = Array.isArray(list) ? (list as Record<string, unknown>[]) : []
  const asked = (name: string): string => text((annotations as Record<string, unknown> | undefined)?.[`resource.opentelemetry.io/${name}`])
  const image = text(first?.['image'])
  const digest = image.includes('@') ? image.slice(image.indexOf('@') + 1) : ''
  const tag = /:([^:/@]+)(@|$)/.exec(image)?.[1] ?? ''
  const ofImage = others.length === 0 ? [tag, digest].filter((p) => p !== '').join('@') : ''
  const attributes = {
    'service.namespace': asked('service.namespace') || text(namespace), 'service.version': asked('service.version') || text((labels as Record<string, unknown> | undefined)?.['app.kubernetes.io/version']) || ofImage,
    'service.instance.id': asked('service.instance.id') || (first === undefined ? '' : `${text(namespace)}.$(POD_NAME).${text(first['name'])}`),
  }
  return Object.entries(attributes).filter(([, v]) => v !== '').map(([k, v]) => `${k}=${v}`).join(',')
}

/** Of a ProxyConfig, what differs from the defaults. */
function withoutDefaults(value: unknown): unknown {
  const empty = (v: unknown): boolean => v === undefined || v === null || v === '' || (isRecord(v) && Object.keys(v).length === 0)
  return isRecord(value) ? Object.fromEntries(Object.entries(value).filter(([k, v]) => !empty(v) && v !== proxyDefaults[k])) : {}
}
