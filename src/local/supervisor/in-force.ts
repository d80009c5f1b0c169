// When a change counts as in force: the control plane has read it, each connected sidecar has acknowledged what follows from it, and no
// sidecar serves new requests by what was before. An acknowledgement does not say the last: Envoy acknowledges a listener that still
// waits for its routes and certificates, and both proxies serve open connections by the old filter chains until they have drained.
import type { Problem } from '#lib/problem.ts'
import type { Page } from '../control-protocol.ts'

/** What is asked of the control plane. */
export interface Plane {
  /** The newest snapshot, and the marks of its objects that were read from files below this folder. */
  marks(under: string): Promise<{ readonly snapshot: number; readonly marks: readonly string[] }>
  /** True once every connected proxy has answered to the newest snapshot, which is at least `snapshot`. */
  settled(snapshot: number): Promise<boolean>
}

/** A pod with a sidecar that runs. */
export interface SidecarFace {
  /** `client.foo` */
  readonly name: string
  readonly proxy: 'kith' | 'envoy'
  /** A page of the sidecar's admin; rejects where nothing answers. */
  page(path: string): Promise<Page>
}

export interface Waiting {
  readonly plane: Plane
  /** The folder with what was applied, and the marks of what stands there now. */
  readonly applied: { readonly dir: string; marks(): readonly string[] }
  /** Sidecars that run now. */
  sidecars(): readonly SidecarFace[]
}

const lookMs = 20
/** Changes may have crossed: it must hold so many times in a row. */
const looks = 2
const longestMs = 10_000

/** Resolves when the change is in force; after ten seconds with a warning that says what was waited for. */
export async function inForce(waiting: Waiting): Promise<readonly Problem[]> {
  const until = Date.now() + longestMs
  let lacking = ''
  for (let calm = 0; calm < looks; ) {
    lacking = await lack(waiting).catch(() => 'the control plane does not answer')
    calm = lacking === '' ? calm + 1 : 0
    if (Date.now() > until && calm === 0) return [notYet(lacking)]
    await new Promise((r) => setTimeout(r, lookMs))
  }
  return []
}

/** What is not in force yet; '': nothing. */
async function lack({ plane, applied, sidecars }: Waiting): Promise<string> {
  const { snapshot, marks } = await plane.marks(`${applied.dir}/`)
  if (!sameMarks(marks, applied.marks())) return 'the control plane has not read the change'
  if (!(await plane.settled(snapshot))) return 'not every sidecar has acknowledged the change'
  const faces = sidecars()
  const done = await Promise.all(faces.map(isDone))
  const names = faces.filter((_, i) => done[i] !== true).map((f) => f.name)
  return names.length === 0 ? '' : `requests are still served by what was before in ${names.join(', ')}`
}

function sameMarks(one: readonly string[], other: readonly string[]): boolean {
  return JSON.stringify([...one].sort()) === JSON.stringify([...other].sort())
}

async function isDone({ page, proxy }: SidecarFace): Promise<boolean> {
  try {
    const { status, body } = await page(proxy === 'envoy' ? gaugesPage : '/server_info')
    return status === 200 && (proxy === 'envoy' ? isQuiet(body) : (JSON.parse(body) as { byGoneChain: number }).byGoneChain === 0)
  } catch {
    return false
  }
}

/** Envoy's gauges of what it prepares and of what it drains: 0 each. */
const gauges = [
  'listener_manager.total_listeners_warming', 'listener_manager.total_listeners_draining',
  'listener_manager.total_filter_chains_draining', 'cluster_manager.warming_clusters',
]
const gaugesPage = `/stats?filter=${encodeURIComponent(`^(${gauges.join('|').replaceAll('.', '\\.')})$`)}`

/** A gauge that is not told counts as not quiet. */
function isQuiet(stats: string): boolean {
  const lines = new Set(stats.split('\n'))
  return gauges.every((gauge) => lines.has(`${gauge}: 0`))
}

function notYet(lacking: string): Problem {
  const ref = { kind: '', namespace: '', name: '', path: '' }
  const message = `the change is saved, and not in force yet after ${longestMs / 1000} s: ${lacking}`
  return { code: 'KITH0209', severity: 'warning', ref, message, help: 'kith proxy-status --local tells what each sidecar has' }
}
