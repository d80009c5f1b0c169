// What the mesh has really seen of a call: the last mutual TLS handshake between the two ends, told by the caller's sidecar.
import type { Handshake } from '#identity'
import type { Mesh, Workload } from '#mesh'
import { findWorkload } from './find-workload.ts'
import type { Explanation, Observed } from './types.ts'

/** The pods whose sidecars would know: all of the caller's workload. None where nobody has a sidecar or nothing is reached. */
export function podsToAsk(mesh: Mesh, answer: Explanation, namespace = 'default'): readonly Workload[] {
  if (!answer.client.sidecar.value || placesOf(answer).size === 0) return []
  const caller = findWorkload(mesh, answer.call.from, namespace)
  return mesh.workloads.filter((w) => w.namespace === caller.namespace && (w.name === caller.name || w === caller) && w.sidecar.value)
}

/** The latest one with any of the call's endpoints. */
export function observedIn(mesh: Mesh, answer: Explanation, seen: readonly Handshake[]): Observed | null {
  const places = placesOf(answer)
  const names = new Set([...places].flatMap((p) => addressesOf(mesh, p)))
  const [last] = seen.filter((h) => h.side === 'outbound' && names.has(h.address)).sort((a, b) => (a.time < b.time ? 1 : -1))
  if (last === undefined) return null
  return { time: last.time, tlsVersion: last.tlsVersion, cipher: last.cipher, client: last.own, server: last.peer, clientCertificateEnds: last.ownCertificateEnds, serverCertificateEnds: last.peerCertificateEnds }
}

/** `bar/httpbin 80`: where a server with a sidecar is reached. */
function placesOf(answer: Explanation): ReadonlySet<string> {
  const ends = answer.endpoints.length > 0 ? answer.endpoints : [answer]
  return new Set(ends.flatMap(({ server }) => (server?.sidecar.value === true ? [`${server.workload} ${server.port}`] : [])))
}

function addressesOf(mesh: Mesh, place: string): string[] {
  const [workload, port] = place.split(' ')
  return mesh.workloads.filter((w) => `${w.namespace}/${w.name}` === workload).flatMap((w) => w.addresses.map((a) => (a.includes(':') ? `[${a}]:${port}` : `${a}:${port}`)))
}
