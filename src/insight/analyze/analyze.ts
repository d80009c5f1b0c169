// Documents → everything that is wrong with them: what a cluster would refuse or warn of, then what the analyzers find in what is left.
import { isRecord, read, type ApiObject, type MeshConfigSpec, type Origin } from '#api'
import type { Problem } from '#lib/problem.ts'
import { analyzers, type Analyzer } from './analyzers.ts'
import { AnalysisContext, isSystemNamespace } from './context.ts'
import { say } from './problem.ts'

export interface Document {
  readonly value: unknown
  readonly origin: Origin
}

export interface Analysis {
  /** Sorted by level, code, place. */
  readonly messages: readonly Problem[]
  /** Documents and values that could not be read at all; istioctl counts them apart (exit code 65). */
  readonly unreadable: readonly Problem[]
}

export interface AnalyzeOptions {
  readonly meshConfig?: MeshConfigSpec
  /** For certificates: a pure room has no clock of its own. */
  readonly now?: Date
  /** Names of the only analyzers to run; all where empty. `schema` stands for the checks of single objects. */
  readonly only?: readonly string[]
}

/** Analyzes all documents as if they were what a cluster holds. A document with faults counts as far as it can be read. */
export function analyze(documents: readonly Document[], options: AnalyzeOptions = {}): Analysis {
  const only = new Set(options.only ?? [])
  const wanted = (name: string): boolean => only.size === 0 || only.has(name)
  const objects = new Map<string, ApiObject>()
  const messages: Problem[] = []
  const findingsOf = new Map<string, readonly Problem[]>()
  const unreadable: Problem[] = []
  for (const { value, origin } of documents) {
    const { draft, faults, findings } = read(value, origin)
    let whole = draft !== undefined
    for (const { kind, problem } of faults) {
      if (kind === 'type' || kind === 'enum' || kind === 'oneof') {
        whole = false
        unreadable.push({ ...problem, code: 'KITH0004' })
      } else if (kind === 'duration') messages.push(problem)
      else if (kind === 'stranger' && isRecord(value) && (value['apiVersion'] ?? '') === '' && (value['kind'] ?? '') === '') unreadable.push({ ...problem, code: 'KITH0006', message: 'neither apiVersion nor kind is there, so this document is no object' })
      else if (kind === 'stranger') messages.push({ ...problem, code: 'KITH0006', severity: 'info', message: `${problem.message}, so this document is no object and was left out` })
      else messages.push({ ...problem, code: kind === 'unknown-field' ? 'KITH0003' : 'KITH0005', severity: 'warning' })
    }
    if (draft === undefined || !whole) continue
    const key = `${draft.apiVersion.split('/')[0] ?? ''}/${draft.kind}/${draft.metadata.namespace}/${draft.metadata.name}`
    const before = objects.get(key)
    // Without a file it is what a cluster holds, and a file's object takes its place on purpose.
    if (before?.origin.file !== undefined && draft.metadata.name !== '' && draft.metadata.generateName === undefined) messages.push(say('KITH0109', 'warning', before, '', `counts for nothing: the same object stands again at ${place(draft)}, and the last one is applied`, 'leave one of them out'))
    objects.set(key, draft)
    // Of what stands twice, only the last is an object of the mesh.
    findingsOf.set(key, findings)
  }
  messages.push(...[...findingsOf.values()].flat())
  const context = new AnalysisContext([...objects.values()], options.meshConfig, options.now)
  const found = wanted('schema') ? messages : []
  for (const analyzer of analyzers) if (wanted(analyzer.name)) found.push(...analyzer.analyze(context))
  return { messages: found.filter((p) => !isSystem(p) && !isSuppressed(p, objects)).sort(byLevelAndPlace), unreadable }
}

const place = ({ origin }: ApiObject): string => `${origin.file ?? 'another place'}${origin.line === undefined ? '' : `:${origin.line}`}`

export type { Analyzer }

/** Kubernetes' own namespaces are nobody's mesh: what stands in them can be found, and nothing is said of it. */
const isSystem = ({ ref }: Problem): boolean => isSystemNamespace(ref.kind === 'Namespace' ? ref.name : ref.namespace)

const suppression = 'galley.istio.io/analyze-suppress'

/** An object's own annotation names codes that it does not want to hear of. */
function isSuppressed(problem: Problem, objects: ReadonlyMap<string, ApiObject>): boolean {
  if (!suppressing.has(objects)) suppressing.set(objects, [...objects.values()].filter((o) => o.metadata.annotations[suppression] !== undefined))
  const { kind, namespace, name } = problem.ref
  const object = suppressing.get(objects)?.find((o) => o.kind === kind && o.metadata.namespace === namespace && o.metadata.name === name)
  const codes = (object?.metadata.annotations[suppression] ?? '').split(',').map((c) => c.trim())
  return codes.includes('*') || codes.includes(problem.code)
}
const suppressing = new WeakMap<ReadonlyMap<string, ApiObject>, readonly ApiObject[]>()

const levels = ['error', 'warning', 'info']

function byLevelAndPlace(a: Problem, b: Problem): number {
  const key = ({ ref, code, severity }: Problem): (string | number)[] => [levels.indexOf(severity), code, ref.file ?? '', ref.line ?? 0, ref.kind, ref.namespace, ref.name, ref.path]
  const [x, y] = [key(a), key(b)]
  for (let i = 0; i < x.length; i++) {
    if (x[i] === y[i]) continue
    return (x[i] as string) < (y[i] as string) ? -1 : 1
  }
  return 0
}
