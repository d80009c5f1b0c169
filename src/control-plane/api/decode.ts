// unknown → ApiObject and Problems. Istio's kinds strictly, everything else as it is. Never throws on a user's input.
import type { Problem, Severity } from '#lib/problem.ts'
import { decodeValue, isRecord, type Decoding, type Fault } from './decode-fields.ts'
import { clusterScoped, istioKindOf } from './kinds.ts'
import { refTo, type ApiObject, type Metadata, type Origin } from './object.ts'

export interface Decoded {
  /** Absent where the document is no object of any API, or an Istio kind with a fault that changes its meaning. */
  readonly object?: ApiObject
  readonly problems: readonly Problem[]
}

/** Decodes one document. Faults in Istio's kinds make errors (IST0106) and withhold the object: a half-read policy is no policy. */
export function decode(raw: unknown, origin: Origin): Decoded {
  if (!isRecord(raw)) return { problems: [problemAt(stranger(origin), '', 'IST0106', 'error', 'a document must be an object with apiVersion and kind')] }
  const apiVersion = typeof raw['apiVersion'] === 'string' ? raw['apiVersion'] : ''
  const kind = typeof raw['kind'] === 'string' ? raw['kind'] : ''
  if (apiVersion === '' || kind === '') {
    const missing = apiVersion === '' ? 'apiVersion' : 'kind'
    return { problems: [problemAt({ ...stranger(origin), kind }, missing, 'IST0106', 'error', `${missing} is missing`)] }
  }
  const problems: Problem[] = []
  const head = { apiVersion, kind, metadata: decodeMetadata(raw['metadata'], kind), origin, raw }
  const known = istioKindOf(apiVersion, kind)
  if (known === undefined) return { object: { ...head, spec: isRecord(raw['spec']) ? raw['spec'] : {} }, problems }
  const decoding: Decoding = { faults: [], root: { type: 'object', fields: { apiVersion: { type: 'string' }, kind: { type: 'string' }, metadata: { type: 'any' }, spec: known.spec, status: { type: 'any' } }, oneOf: [] } }
  const whole = decodeValue(decoding.root, raw, '', decoding) as { spec?: unknown } | undefined
  for (const fault of decoding.faults) problems.push(problemOf(head, fault))
  const object: ApiObject = { ...head, spec: whole?.spec ?? {} }
  return decoding.faults.length === 0 ? { object, problems } : { problems }
}

function problemOf(object: { kind: string; metadata: Metadata; origin: Origin }, fault: Fault): Problem {
  return problemAt(object, fault.path, 'IST0106', 'error', fault.message, fault.help)
}

function problemAt(object: { kind: string; metadata: Metadata; origin: Origin }, path: string, code: string, severity: Severity, message: string, help?: string): Problem {
  return { code, severity, ref: refTo(object, path), message, ...(help === undefined ? {} : { help }) }
}

function stranger(origin: Origin): { kind: string; metadata: Metadata; origin: Origin } {
  return { kind: '', metadata: { name: '', namespace: '', labels: {}, annotations: {} }, origin }
}

function decodeMetadata(raw: unknown, kind: string): Metadata {
  const from = isRecord(raw) ? raw : {}
  const text = (key: string): string | undefined => (typeof from[key] === 'string' ? (from[key] as string) : undefined)
  const time = from['creationTimestamp']
  const optional = {
    creationTimestamp: time instanceof Date ? time.toISOString().replace('.000Z', 'Z') : text('creationTimestamp'),
    generateName: text('generateName'), uid: text('uid'), resourceVersion: text('resourceVersion'),
    ownerReferences: Array.isArray(from['ownerReferences']) ? (from['ownerReferences'] as Metadata['ownerReferences']) : undefined,
  }
  return {
    name: text('name') ?? text('generateName') ?? '',
    namespace: clusterScoped.has(kind) ? '' : (text('namespace') ?? 'default'),
    labels: strings(from['labels']),
    annotations: strings(from['annotations']),
    ...(Object.fromEntries(Object.entries(optional).filter(([, v]) => v !== undefined)) as Partial<Metadata>),
  }
}

function strings(raw: unknown): Readonly<Record<string, string>> {
  if (!isRecord(raw)) return {}
  return Object.fromEntries(Object.entries(raw).filter((e): e is [string, string] => typeof e[1] === 'string'))
}
