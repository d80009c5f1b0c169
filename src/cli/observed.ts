// What the mesh on this machine has seen of an explained call: asked of the caller's sidecars. Law: where nothing was seen, why.
import { callersPods, ejectedIn, observedIn, podsToAsk, type ClustersPage, type Explanation } from '#insight'
import type { Mesh } from '#mesh'

export interface Asking {
  /** Folder of the mesh that runs here. */
  readonly localDir?: string
  readonly fromFiles: boolean
}

/** The answer with what was observed, or with the reason why nothing was; and a hint where the caller's sidecars leave endpoints out. */
export async function withObserved(mesh: Mesh, answer: Explanation, namespace: string, asking: Asking): Promise<Explanation> {
  const observed = await withHandshake(mesh, answer, namespace, asking)
  if (asking.fromFiles || asking.localDir === undefined) return observed
  const pages = await clustersPages(asking.localDir, callersPods(mesh, answer, namespace).map((w) => `pod/${w.pod}.${w.namespace}`))
  const hints = ejectedIn(answer, pages)
  return hints.length === 0 ? observed : { ...observed, hints: [...observed.hints, ...hints] }
}

/** A sidecar that does not answer tells nothing here: the handshakes' part says so. */
async function clustersPages(localDir: string, pods: readonly string[]): Promise<ClustersPage[]> {
  if (pods.length === 0) return []
  const { attachMesh } = await import('#local')
  const running = await attachMesh(localDir).catch(() => undefined)
  if (running === undefined) return []
  const pages = await Promise.all(pods.map((pod) => running.sidecarPage(pod, '/clusters?format=json').then((page) => [{ pod, page }], () => [])))
  return pages.flat()
}

async function withHandshake(mesh: Mesh, answer: Explanation, namespace: string, { localDir, fromFiles }: Asking): Promise<Explanation> {
  const unseen = (notObserved: string): Explanation => ({ ...answer, observed: null, notObserved })
  const pods = podsToAsk(mesh, answer, namespace)
  if (pods.length === 0) return unseen('no two sidecars meet on this call, so that there is no handshake to see')
  if (fromFiles) return unseen('the mesh was read from files, where nothing runs')
  if (localDir === undefined) return unseen('the sidecars of a cluster were not asked: their admin answers inside their pods (kith dashboard proxy POD, then /handshakes)')
  const { attachMesh } = await import('#local')
  try {
    const running = await attachMesh(localDir)
    const told = await Promise.all(pods.map((w) => running.handshakes(`pod/${w.pod}.${w.namespace}`)))
    const observed = observedIn(mesh, answer, told.flatMap((t) => t ?? []))
    if (observed !== null) return { ...answer, observed }
    if (told.every((t) => t === null)) return unseen('the caller’s sidecar is an Envoy, which counts handshakes for each cluster (its admin: /stats?filter=ssl) and keeps no record of a single one')
    return unseen('the caller’s sidecars have made no handshake with these endpoints lately: make the call and ask again')
  } catch (error) {
    return unseen(`the mesh could not be asked: ${(error as Error).message}`)
  }
}
