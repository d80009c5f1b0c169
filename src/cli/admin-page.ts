// A page of a sidecar's admin, which answers to its own loopback alone: by a port that leads there.
import { KithError } from '#lib/errors.ts'
import { forwardPort, type ForwardTarget } from '#lib/kubernetes/port-forward.ts'
import type { ClusterOptions } from './cluster.ts'

/** The pages, as JSON, in the order asked for. */
export async function adminPages(target: ForwardTarget, paths: readonly string[], { kubeconfig, context }: ClusterOptions): Promise<readonly unknown[]> {
  let failure = ''
  const forward = await forwardPort(target, { ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }), onFailure: (message) => (failure = message) })
  try {
    const pages: unknown[] = []
    for (const path of paths) {
      const answer = await fetch(`http://127.0.0.1:${forward.port}${path}`, { signal: AbortSignal.timeout(10_000), headers: { connection: 'close' } })
      if (!answer.ok) throw new Error(`${path} answered ${answer.status}`)
      pages.push(await answer.json())
    }
    return pages
  } catch (cause) {
    throw new KithError('ADMIN_SILENT', `pod ${target.namespace}/${target.pod} does not answer on port ${target.port}: ${failure === '' ? (cause as Error).message : failure}`, { cause })
  } finally {
    forward.close()
  }
}

