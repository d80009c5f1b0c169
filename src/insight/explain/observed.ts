// What the mesh has really seen of a call: the last mutual TLS handshake between the two ends, told by the
// caller's sidecar.
import type { Handshake } from '#identity'
import type { Mesh, Workload } from '#mesh'
import { findWorkload } from './find-workload.ts'
import type { Explanation, Observed } from './types.ts'

/**
 * The pods whose sidecars would know: all of the caller's workload. None where nobody has a sidecar or
 * nothing is reached.
 */
export function podsToAsk(mesh: Mesh, answer: Explanation, namespace = 'default'): readonly Workload[] {
  return placesOf(answer).length === 0 ? [] : callersPods(mesh, answer, namespace)
}

/** All pods of the caller's workload, where it has a sidecar. */
export function callersPods(mesh: Mesh, answer: Explanation, namespace = 'default'): readonly Workload[] {
  if (!answer.client.sidecar.value) return []
  const caller = findWorkload(mesh, answer.call.from, namespace)
  return mesh.workloads.filter(
    (w) => w.namespace === caller.namespace && (w.name === caller.name || w === caller) && w.sidecar.value,
  )
}

/** The latest one with any of the call's endpoints. */
export function observedIn(mesh: Mesh, answer: Explanation, seen: readonly Handshake[]): Observed | null {
  const reached = placesOf(answer).map(({ place, ...at }) => ({ addresses: addressesOf(mesh, place), ...at }))
  const [last] = seen
    .filter(
      (h) =>
        h.side === 'outbound' &&
        reached.some((r) => r.addresses.includes(h.address) && names(h.serverName, r)),
    )
    .sort((a, b) => (a.time < b.time ? 1 : -1))
  if (last === undefined) return null
  return {
    time: last.time,
    tlsVersion: last.tlsVersion,
    cipher: last.cipher,
    client: last.own,
    server: last.peer,
    clientCertificateEnds: last.ownCertificateEnds,
    serverCertificateEnds: last.peerCertificateEnds,
  }
}

interface Reached {
  /** `bar/httpbin 80`: a server whose sidecar ends mutual TLS there. */
  readonly place: string
  /** What the caller's sidecar names it by; undefined: it was called by its address alone. */
  readonly serverName: string | undefined
  /** A DestinationRule may name it otherwise. */
  readonly byRule: boolean
}

/** The caller's sidecar and the server's meet there, and nowhere else a handshake belongs to this call. */
function placesOf(answer: Explanation): readonly Reached[] {
  const ends = answer.endpoints.length > 0 ? answer.endpoints : [answer]
  return ends.flatMap(({ client, server }): Reached[] => {
    if (server?.redirected?.value !== true || client.tls?.value !== 'ISTIO_MUTUAL') return []
    const to = client.destination
    const serverName = to === null ? undefined : `outbound_.${to.port}_.${to.subset ?? ''}_.${to.host}`
    return [
      {
        place: `${server.workload} ${server.port}`,
        serverName,
        byRule: client.tls.because[0]?.source !== 'default',
      },
    ]
  })
}

/** Two destinations may lead to one pod: its handshakes for the other are not this call's. */
function names(serverName: string, reached: Pick<Reached, 'serverName' | 'byRule'>): boolean {
  return (
    serverName === reached.serverName ||
    ((reached.byRule || reached.serverName === undefined) && !serverName.startsWith('outbound_'))
  )
}

function addressesOf(mesh: Mesh, place: string): string[] {
  const [workload, port] = place.split(' ')
  return mesh.workloads
    .filter((w) => `${w.namespace}/${w.name}` === workload)
    .flatMap((w) => w.addresses.map((a) => (a.includes(':') ? `[${a}]:${port}` : `${a}:${port}`)))
}
