// What an earlier injection left in a pod: taken out again, so that the pod is as its user wrote it, and remembered where only it still knows.
// Law: an injected pod is injected anew as if it never had been; what others added to our containers since then stays.
import { isRecord } from '#api'
import { cloneJson } from './clone.ts'
import type { Obj } from './template-types.ts'

export const statusKey = 'sidecar.istio.io/status'
export const overridesKey = 'proxy.istio.io/overrides'
const lists = ['containers', 'initContainers'] as const

export interface Earlier {
  /** `/app-health/…` → the probe that the application has. */
  readonly probers: Readonly<Obj>
  readonly prometheus: Obj | undefined
  readonly revision: string | undefined
  /** The sidecar as it was found. */
  readonly proxy: Obj | undefined
  /** The application waited for it. */
  readonly held: boolean
}

/** Changes `spec` and `annotations`. */
export function takeOutEarlier(spec: Obj, annotations: Record<string, string>): Earlier {
  const text = annotations[statusKey]
  if (text === undefined) return { probers: {}, prometheus: undefined, revision: undefined, proxy: undefined, held: false }
  const status = parseObject(text)
  const listed = (key: string): unknown[] => (Array.isArray(status[key]) ? (status[key] as unknown[]) : [])
  const proxy = lists.flatMap((f) => containersOf(spec, f)).find((c) => c['name'] === 'istio-proxy')
  const env = objectsIn(proxy?.['env'])
  const gone = new Set(lists.flatMap(listed))
  const stored = parseObject(annotations[overridesKey] ?? '{}')
  const originals = lists.map((f) => new Map(containersOf(stored, f).map((c) => [c['name'], c])))
  const all = new Map(originals.flatMap((m) => [...m]))
  lists.forEach((field, i) => {
    const own = originals[i] ?? new Map<unknown, Obj>()
    // What its user had written stands where it stood; what a native sidecar took to another list goes back.
    const kept = containersOf(spec, field).flatMap((c) => (gone.has(c['name']) ? (own.has(c['name']) ? [own.get(c['name']) as Obj] : []) : all.has(c['name']) && own.has(c['name']) ? [own.get(c['name']) as Obj] : [c]))
    const list = [...kept, ...[...own.values()].filter((o) => !kept.some((c) => c['name'] === o['name']))]
    if (list.length > 0) spec[field] = cloneJson(list)
    else delete spec[field]
  })
  removeNamed(spec, 'volumes', listed('volumes'))
  removeNamed(spec, 'imagePullSecrets', listed('imagePullSecrets'))
  delete annotations[statusKey]
  delete annotations[overridesKey]
  return {
    probers: parseObject(String(env.find((e) => e['name'] === 'ISTIO_KUBE_APP_PROBERS')?.['value'] ?? '{}')), prometheus: env.find((e) => e['name'] === 'ISTIO_PROMETHEUS_ANNOTATIONS'),
    revision: typeof status['revision'] === 'string' ? status['revision'] : undefined, proxy, held: waits(proxy),
  }
}

/** The same injector asks again, after other webhooks had their turn: what they gave the sidecar, it keeps. */
export function keepOthers(proxy: Obj, earlier: Earlier, revision: string, spec: Obj): void {
  const before = earlier.proxy
  if (before === undefined || earlier.revision !== revision || before['image'] !== proxy['image']) return
  const volumes = new Set(objectsIn(spec['volumes']).map((v) => v['name']))
  const more = (field: string, key: string, counts: (item: Obj) => boolean): void => {
    const ours = objectsIn(proxy[field])
    const theirs = objectsIn(before[field]).filter((t) => counts(t) && !ours.some((o) => o[key] === t[key]))
    if (theirs.length > 0) proxy[field] = [...ours, ...theirs]
  }
  more('env', 'name', (e) => !String(e['name']).startsWith('ISTIO_'))
  more('volumeMounts', 'mountPath', (m) => volumes.has(m['name']))
  if (isRecord(before['securityContext']) && isRecord(proxy['securityContext'])) proxy['securityContext'] = { ...before['securityContext'], ...proxy['securityContext'] }
  for (const field of ['envFrom', 'imagePullPolicy', 'terminationMessagePath', 'terminationMessagePolicy', 'volumeDevices']) if (proxy[field] === undefined && before[field] !== undefined) proxy[field] = before[field]
}

export function containersOf(spec: Readonly<Obj>, field: 'containers' | 'initContainers'): Obj[] {
  return objectsIn(spec[field])
}

/** The objects of a list; whoever sends one may have put anything in it. */
export function objectsIn(list: unknown): Obj[] {
  return Array.isArray(list) ? (list as unknown[]).filter((c): c is Obj => isRecord(c)) : []
}

function removeNamed(spec: Obj, field: string, names: readonly unknown[]): void {
  if (!Array.isArray(spec[field]) || names.length === 0) return
  const kept = (spec[field] as unknown[]).filter((v) => !isRecord(v) || !names.includes(v['name']))
  if (kept.length > 0) spec[field] = kept
  else delete spec[field]
}

function parseObject(text: string): Obj {
  try {
    const parsed: unknown = JSON.parse(text)
    return isRecord(parsed) ? parsed : {}
  } catch {
    return {}
  }
}

/** `pilot-agent wait`, `kith-agent wait` */
function waits(proxy: Obj | undefined): boolean {
  const lifecycle = proxy?.['lifecycle']
  return isRecord(lifecycle) && /"[\w/-]*-agent","wait"/.test(JSON.stringify(lifecycle['postStart'] ?? ''))
}
