// A cluster's transport_socket_matcher, for what Kith writes: exact maps over the filter state that notes where a connection was going.
// Law: what is not understood is an error, never plaintext by accident.
import { fields, type Notes } from './notes.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { Config } from '../../../generated/types/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts'
import type { FilterStateInput, TransportSocketNameAction } from '../../../generated/types/transport-socket-matching_pb.ts'
import type { Matcher, Matcher_OnMatch } from '../../../generated/types/xds/type/matcher/v3/matcher_pb.ts'

/** Where the client meant to go: of an ORIGINAL_DST cluster, the endpoint itself. */
export interface Destination {
  readonly address: string
  readonly port: number
}

/** The name of the entry of transport_socket_matches; undefined: none, so the cluster's own socket. */
export type SocketMatcher = (to: Destination) => string | undefined

const inputs = 'envoy.extensions.matching.common_inputs.transport_socket.v3'

/** Objects of the filter state and what they hold: written by set_filter_state, read by the matcher. */
const known: ReadonlyMap<string, { readonly format: string; readonly of: (to: Destination) => string }> = new Map([
  ['kith.destination.address', { format: '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%', of: (to) => to.address }],
  ['kith.destination.port', { format: '%DOWNSTREAM_LOCAL_PORT%', of: (to) => String(to.port) }],
])

export function compileSocketMatcher(matcher: Matcher, names: ReadonlySet<string>, notes: Notes): SocketMatcher {
  const nothing: SocketMatcher = () => undefined
  const otherwise = matcher.onNoMatch === undefined ? nothing : compileOnMatch(matcher.onNoMatch, names, notes)
  const type = matcher.matcherType
  if (type.case === undefined) return otherwise
  const tree = type.case === 'matcherTree' ? type.value : undefined
  const map = tree?.treeType.case === 'exactMatchMap' ? tree.treeType.value.map : undefined
  if (tree === undefined || map === undefined) {
    notes.error('transport_socket_matcher: only a matcher_tree with an exact_match_map is understood')
    return nothing
  }
  const key = notes.unpack<FilterStateInput>(tree.input?.typedConfig, `${inputs}.FilterStateInput`)?.key ?? ''
  const input = known.get(key)
  if (input === undefined) {
    notes.error(`transport_socket_matcher: filter state "${key}" is not understood`)
    return nothing
  }
  const branches = new Map(Object.entries(map).map(([value, on]) => [value, compileOnMatch(on, names, notes)]))
  return (to) => (branches.get(input.of(to)) ?? otherwise)(to)
}

function compileOnMatch(on: Matcher_OnMatch, names: ReadonlySet<string>, notes: Notes): SocketMatcher {
  const { onMatch } = on
  if (onMatch.case === 'matcher') return compileSocketMatcher(onMatch.value, names, notes)
  const name = onMatch.case === 'action' ? notes.unpack<TransportSocketNameAction>(onMatch.value.typedConfig, `${inputs}.TransportSocketNameAction`)?.name : undefined
  if (name === undefined || !names.has(name)) notes.error(`transport_socket_matcher: ${name === undefined ? 'a branch without an action' : `no transport_socket_matches entry "${name}"`}`)
  return () => name
}

export const networkFilterStateType = 'envoy.extensions.filters.network.set_filter_state.v3.Config'

/** The filter that notes the destination: the engine knows it anyway, so it only has to be what the matcher takes it for. */
export function checkNetworkFilterState(any: Any | undefined, notes: Notes): void {
  const config = notes.unpack<Config>(any, networkFilterStateType)
  if (config === undefined) return
  notes.onlyServes(config, fields('on_new_connection'))
  for (const value of config.onNewConnection) {
    const key = value.key.value ?? ''
    const format = value.value.case === 'formatString' ? value.value.value.format : undefined
    const text = format?.case === 'textFormatSource' && format.value.specifier.case === 'inlineString' ? format.value.specifier.value : undefined
    if (text === undefined || known.get(key)?.format !== text) notes.notServed(`filter state ${key}`)
  }
}
