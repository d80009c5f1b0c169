// What the mesh on this machine has seen of an explained call: asked of the caller's sidecars.
import { observedIn, podsToAsk, type Explanation } from '#insight'
import type { Mesh } from '#mesh'

/** The answer with what was observed; as it is where the mesh has gone meanwhile or has seen nothing. */
export async function withObserved(mesh: Mesh, answer: Explanation, namespace: string, localDir: string | undefined): Promise<Explanation> {
  const pods = localDir === undefined ? [] : podsToAsk(mesh, answer, namespace)
  if (localDir === undefined || pods.length === 0) return answer
  const { attachMesh } = await import('#local')
  try {
    const running = await attachMesh(localDir)
    const seen = await Promise.all(pods.map((w) => running.handshakes(`pod/${w.pod}.${w.namespace}`)))
    return { ...answer, observed: observedIn(mesh, answer, seen.flat()) }
  } catch {
    return answer
  }
}
