// Mutual TLS by the address that the client chose: the listener notes where a connection was going, and the cluster finds the pod's TLS context by it.
// Bounded: one context for each identity, one line for each pod. Stock Envoy since 1.37; an older one leaves such calls in plaintext, as Istio does.
import type { MeshSettings, PodTls } from '#plan'
import { typed, type Obj } from './json.ts'
import { rawBuffer, upstreamMtls } from './tls.ts'

const inputs = 'envoy.extensions.matching.common_inputs.transport_socket.v3'
const addressKey = 'kith.destination.address'
const portKey = 'kith.destination.port'

/** The network filter that notes the original destination; before whatever may end in a cluster that goes by it. */
export function destinationState(mesh: MeshSettings): Obj[] {
  if (!mesh.tlsByAddress) return []
  const note = (objectKey: string, inlineString: string): Obj => ({ objectKey, factoryKey: 'envoy.string', formatString: { textFormatSource: { inlineString } }, sharedWithUpstream: 'ONCE' })
  return [{
    name: 'envoy.filters.network.set_filter_state',
    typedConfig: typed('envoy.extensions.filters.network.set_filter_state.v3.Config', {
      onNewConnection: [note(addressKey, '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%'), note(portKey, '%DOWNSTREAM_LOCAL_PORT%')],
    }),
  }]
}

/** The transport of an ORIGINAL_DST cluster: plaintext but to the pods that take more. `never`: ports that no sidecar sees. */
export function byAddress(pods: readonly PodTls[], sni: string, alpn: readonly string[], never: readonly number[] = []): Obj {
  const map: Record<string, Obj> = {}
  const contexts = new Map<string, readonly string[]>()
  for (const pod of pods) {
    const name = pod.sans[0] ?? 'any identity'
    const when = (tls: PodTls['tls']): Obj => take(tls.value === 'ISTIO_MUTUAL' ? name : plaintext)
    if (pod.tls.value === 'DISABLE' && pod.except.length === 0) continue
    contexts.set(name, pod.sans)
    map[pod.address] = pod.except.length === 0 ? when(pod.tls) : { matcher: { ...tree(portKey, Object.fromEntries(pod.except.map((e) => [String(e.port), when(e.tls)]))), onNoMatch: when(pod.tls) } }
  }
  if (contexts.size === 0) return {}
  return {
    // The labels are for an Envoy that does not know the matcher: no address has them, so it takes none of these.
    transportSocketMatches: [
      ...[...contexts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, sans]) => ({ name, match: { pod: name }, transportSocket: upstreamMtls({ sni, sans }, alpn) })),
      { name: plaintext, match: { pod: plaintext }, transportSocket: rawBuffer },
    ],
    transportSocketMatcher: never.length === 0 ? tree(addressKey, map) : { ...tree(portKey, Object.fromEntries(never.map((p) => [String(p), take(plaintext)]))), onNoMatch: { matcher: tree(addressKey, map) } },
  }
}

const plaintext = 'plaintext'

function tree(key: string, map: Record<string, Obj>): Obj {
  return { matcherTree: { input: { name: 'envoy.matching.inputs.transport_socket_filter_state', typedConfig: typed(`${inputs}.FilterStateInput`, { key }) }, exactMatchMap: { map } } }
}

function take(name: string): Obj {
  return { action: { name: 'envoy.matching.action.transport_socket.name', typedConfig: typed(`${inputs}.TransportSocketNameAction`, { name }) } }
}
