// The HTTP filter set_filter_state, for the one key that the mesh uses: which ALPN the upstream connection of this request offers.
import { fields, type Notes } from './notes.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { Config } from '../../../generated/types/envoy/extensions/filters/http/set_filter_state/v3/set_filter_state_pb.ts'

const typeName = 'envoy.extensions.filters.http.set_filter_state.v3.Config'
export const filterStateUrl = `type.googleapis.com/${typeName}`
export const alpnKey = 'envoy.network.application_protocols'

/** ALPN names, or undefined where the config says nothing of them. */
export function compileFilterState(any: Any, notes: Notes): readonly string[] | undefined {
  const config = notes.unpack<Config>(any, typeName)
  let alpn: readonly string[] | undefined
  for (const value of config?.onRequestHeaders ?? []) {
    const key = value.key.value ?? ''
    if (key !== alpnKey) {
      notes.notServed(`filter state ${key}`)
      continue
    }
    notes.onlyServes(value, fields('object_key factory_key format_string read_only shared_with_upstream skip_if_empty'))
    const format = value.value.case === 'formatString' ? value.value.value.format : undefined
    const text = format?.case === 'textFormatSource' && format.value.specifier.case === 'inlineString' ? format.value.specifier.value : format?.case === 'textFormat' ? format.value : undefined
    if (text === undefined || text.includes('%')) notes.notServed(`filter state ${key} from anything but a constant text`)
    else alpn = text.split(',').map((p) => p.trim())
  }
  return alpn
}
