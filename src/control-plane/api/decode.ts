// unknown → ApiObject and Problems. Istio's kinds strictly, everything else as it is. Never throws on a user's input.
import { nearest } from '#lib/nearest.ts'
import type { Problem, Severity } from '#lib/problem.ts'
import { check } from './checks/index.ts'
import { decodeValue, dropEmptyLists, isRecord, type Decoding, type Fault } from './decode-fields.ts'
import { clusterScoped, istioGroups, istioKindOf, istioKinds, type IstioKind } from './kinds.ts'
import { shapeFaults } from './kubernetes-shape.ts'
import { refTo, type ApiObject, type Metadata, type Origin } from './object.ts'

export interface Decoded {
  /** Absent where the document is no object of any API, or an Istio kind with an error: a half-read policy is no policy. */
  readonly object?: ApiObject
  readonly problems: readonly Problem[]
}

/** What one document is, with all that is wrong with it. */
export interface Reading {
  /** The object as far as it could be read, faults or not: for those who look for mistakes, never for those who apply policy. */
  readonly draft?: ApiObject
  /** Faults of shape: what the CRD refuses. */
  readonly faults: readonly (Fault & { readonly problem: Problem })[]
  /** What the fields mean together: what Istio's webhook refuses or warns of. */
  readonly findings: readonly Problem[]
}

/** Decodes one document as a cluster would admit it. Errors in Istio's kinds (IST0106) withhold the object. */
export function decode(raw: unknown, origin: Origin): Decoded {
  const { draft, faults, findings } = read(raw, origin)
  const problems = [...faults.map((f) => f.problem), ...findings]
  return draft !== undefined && !problems.some((p) => p.severity === 'error') ? { object: draft, problems } : { problems }
}

/** Reads one document: the draft of an object, and everything that is wrong with it. */
export function read(raw: unknown, origin: Origin): Reading {
  const fail = (object: Named, path: string, message: string, help?: string, faultKind: Fault['kind'] = 'type'): Reading => ({
    faults: [{ path, message, kind: faultKind, problem: problemAt(object, path, 'IST0106', 'error', message, help) }], findings: [],
  })
  if (!isRecord(raw)) return fail(stranger(origin), '', 'a document must be an object with apiVersion and kind')
  const apiVersion = typeof raw['apiVersion'] === 'string' ? raw['apiVersion'] : ''
  const kind = typeof raw['kind'] === 'string' ? raw['kind'] : ''
  const head = { apiVersion, kind, metadata: decodeMetadata(raw['metadata'], kind), origin, raw }
  if (apiVersion === '' || kind === '') {
    const missing = apiVersion === '' ? 'apiVersion' : 'kind'
    return fail(head, missing, `${missing} is missing`, undefined, 'stranger')
  }
  const known = istioKindOf(apiVersion, kind)
  if (known === undefined) {
    const group = apiVersion.slice(0, Math.max(0, apiVersion.indexOf('/')))
    if (!istioGroups.has(group) || unmodelled.has(kind)) {
      const faults = [...metadataFaults(raw['metadata']), ...shapeFaults(apiVersion, kind, raw)].map((f) => ({ ...f, problem: problemAt(head, f.path, 'IST0106', 'error', f.message, f.help) }))
      return { draft: { ...head, spec: isRecord(raw['spec']) ? raw['spec'] : {} }, faults, findings: [] }
    }
    const elsewhere = Object.hasOwn(istioKinds, kind) ? istioKinds[kind] : undefined
    if (elsewhere !== undefined) return fail(head, 'apiVersion', `${kind} is no kind of ${group}`, `it belongs to ${elsewhere.group}/${elsewhere.versions[0]}`)
    const near = nearest(kind, Object.keys(istioKinds).filter((k) => istioKinds[k]?.group === group)) ?? nearest(kind, Object.keys(istioKinds))
    return fail(head, 'kind', `${group} has no kind ${kind}`, near === undefined ? undefined : `did you mean ${near}?`)
  }
  return readIstio(head, known)
}

function readIstio(head: Omit<ApiObject, 'spec'>, known: IstioKind): Reading {
  const decoding: Decoding = { faults: [], root: rootOf(known) }
  const whole = decodeValue(decoding.root, head.raw, '', decoding) as { spec?: unknown } | undefined
  const version = head.apiVersion.slice(head.apiVersion.indexOf('/') + 1)
  if (!known.versions.includes(version)) {
    decoding.faults.push({ path: 'apiVersion', kind: 'type', message: `Istio serves no ${head.apiVersion} of ${head.kind}`, help: `it serves ${known.versions.map((v) => `${known.group}/${v}`).join(', ')}` })
  }
  decoding.faults.push(...metadataFaults(head.raw['metadata']), ...strangeMetadata(head.raw['metadata']))
  if (head.metadata.name === '') decoding.faults.push(missingName(head.raw))
  dropEmptyLists(decoding.root, whole)
  const draft: ApiObject = { ...head, spec: whole?.spec ?? {} }
  const near = (a: string, b: string): boolean => a === b || a.startsWith(`${b}.`) || a.startsWith(`${b}[`) || b.startsWith(`${a}.`) || b.startsWith(`${a}[`)
  // One mistake is said once: what can't be read has no meaning to check; where the meaning is wrong, that says more than the limit. Beside a field that does not exist, all has its meaning.
  const unread = decoding.faults.filter((f) => f.kind !== 'limit' && f.kind !== 'unknown-field')
  const findings = check(draft).filter((p) => p.severity !== 'error' || !unread.some((f) => near(p.ref.path, f.path)))
  const faults = decoding.faults
    .filter((f) => f.kind !== 'limit' || !findings.some((p) => p.severity === 'error' && p.ref.path !== 'spec' && near(p.ref.path, f.path)))
    .map((f) => ({ ...f, problem: problemAt(head, f.path, 'IST0106', 'error', f.message, f.help) }))
  return { draft, faults, findings }
}

function missingName(raw: Readonly<Record<string, unknown>>): Fault {
  const name = isRecord(raw['metadata']) ? raw['metadata']['name'] : undefined
  if (name === undefined || name === null || name === '') return { path: 'metadata.name', kind: 'limit', message: 'this field is required' }
  return { path: 'metadata.name', kind: 'type', message: `expected a string, found ${typeof name} ${typeof name === 'object' ? JSON.stringify(name) : String(name)}`, help: 'put it in quotes: on, off, yes, no and numbers are no text in YAML' }
}

/** What an API server can't read: it refuses the whole object. The name is looked at where it is needed. */
function metadataFaults(raw: unknown): Fault[] {
  if (!isRecord(raw)) return []
  const found: Fault[] = []
  const say = (path: string, expected: string, value: unknown, help?: string): void =>
    void found.push({ path: `metadata.${path}`, kind: 'type', message: `expected ${expected}, found ${Array.isArray(value) ? 'a list' : `${typeof value} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`}`, ...(help === undefined ? {} : { help }) })
  const quotes = 'put it in quotes: on, off, yes, no and numbers are no text in YAML'
  if (raw['namespace'] !== undefined && raw['namespace'] !== null && typeof raw['namespace'] !== 'string') say('namespace', 'a string', raw['namespace'], quotes)
  for (const key of ['labels', 'annotations']) {
    const of = raw[key]
    if (of === undefined || of === null) continue
    if (!isRecord(of)) say(key, 'a map', of)
    else for (const [name, value] of Object.entries(of)) if (typeof value !== 'string' && value !== null) say(`${key}.${name}`, 'a string', value, quotes)
  }
  return found
}

const metadataFields = [
  'name', 'generateName', 'namespace', 'labels', 'annotations', 'uid', 'resourceVersion', 'generation', 'selfLink', 'creationTimestamp', 'deletionTimestamp', 'deletionGracePeriodSeconds', 'ownerReferences', 'finalizers', 'managedFields',
]

/** Fields that no object's metadata has. */
function strangeMetadata(raw: unknown): Fault[] {
  return Object.keys(isRecord(raw) ? raw : {}).filter((key) => !metadataFields.includes(key)).map((key) => {
    const near = nearest(key, metadataFields)
    return { path: `metadata.${key}`, kind: 'unknown-field', message: `unknown field "metadata.${key}"`, ...(near === undefined ? {} : { help: `did you mean "${near}"?` }) }
  })
}

/** Kinds of Istio's groups that Kith takes unread. */
export const unmodelled: ReadonlySet<string> = new Set(['WasmPlugin', 'TrafficExtension', 'IstioOperator'])

const roots = new Map<IstioKind, Decoding['root']>()
function rootOf(known: IstioKind): Decoding['root'] {
  const made = roots.get(known)
  if (made !== undefined) return made
  const text = { type: 'string' } as const
  const anything = { type: 'any' } as const
  const root: Decoding['root'] = { type: 'object', fields: { apiVersion: text, kind: text, metadata: anything, spec: known.spec, status: anything }, oneOf: [], ...(known.specRequired === true ? { required: ['spec'] } : {}) }
  roots.set(known, root)
  return root
}

interface Named { readonly kind: string; readonly metadata: Metadata; readonly origin: Origin }

function problemAt(object: Named, path: string, code: string, severity: Severity, message: string, help?: string): Problem {
  return { code, severity, ref: refTo(object, path), message, ...(help === undefined ? {} : { help }) }
}

function stranger(origin: Origin): Named {
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
