// Envoy's substitution format strings (`%REQ(X?Y):Z%`), compiled once and rendered against whatever answers the operators.
// Law: an unknown operator is an error at compile time, as in Envoy.
import type { Notes } from './notes.ts'

export interface FormatOperator {
  readonly op: string
  /** `REQ(:METHOD)` → [':METHOD']; `REQ(A?B)` → ['A', 'B']. */
  readonly args: readonly string[]
  /** `:10` after the parenthesis; 0 = none. */
  readonly max: number
}

export type Format = readonly (string | FormatOperator)[]

/** Every operator that the proxy can answer. */
export const knownOperators: ReadonlySet<string> = new Set(
  `START_TIME REQ RESP TRAILER PROTOCOL RESPONSE_CODE RESPONSE_FLAGS RESPONSE_CODE_DETAILS CONNECTION_TERMINATION_DETAILS
  UPSTREAM_TRANSPORT_FAILURE_REASON BYTES_RECEIVED BYTES_SENT DURATION REQUEST_DURATION RESPONSE_DURATION RESPONSE_TX_DURATION UPSTREAM_HOST UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW
  UPSTREAM_LOCAL_ADDRESS UPSTREAM_REMOTE_ADDRESS UPSTREAM_REQUEST_ATTEMPT_COUNT DOWNSTREAM_LOCAL_ADDRESS DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_REMOTE_ADDRESS
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT REQUESTED_SERVER_NAME ROUTE_NAME VIRTUAL_CLUSTER_NAME FILTER_CHAIN_NAME
  DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_TLS_VERSION DOWNSTREAM_TLS_CIPHER DOWNSTREAM_PEER_FINGERPRINT_256 UPSTREAM_PEER_URI_SAN UPSTREAM_TLS_VERSION UPSTREAM_TLS_CIPHER
  UPSTREAM_PEER_SUBJECT HOSTNAME FILTER_STATE DYNAMIC_METADATA CLUSTER_METADATA METADATA ENVIRONMENT CONNECTION_ID`
    .trim()
    .split(/\s+/),
)

export function compileFormat(text: string, notes: Notes): Format {
  const out: (string | FormatOperator)[] = []
  let literal = ''
  let i = 0
  while (i < text.length) {
    const c = text[i] as string
    if (c !== '%') {
      literal += c
      i++
      continue
    }
    if (text[i + 1] === '%') {
      literal += '%'
      i += 2
      continue
    }
    const found = /^%([A-Z0-9_]+)(?:\(([^)]*)\))?(?::(\d+))?%/.exec(text.slice(i))
    if (found === null) {
      notes.error(`format string has a stray % at ${i}: ${text.slice(i, i + 20)}`)
      return [text]
    }
    const op = found[1] as string
    if (!knownOperators.has(op)) notes.error(`format operator %${op}% is unknown`)
    if (literal !== '') out.push(literal)
    literal = ''
    const args = found[2] === undefined ? [] : op === 'REQ' || op === 'RESP' || op === 'TRAILER' ? found[2].split('?') : [found[2]]
    out.push({ op, args, max: Number(found[3] ?? 0) })
    i += found[0].length
  }
  if (literal !== '') out.push(literal)
  return out
}

/** `lookup` answers one operator; undefined prints `-`. */
export function renderFormat(format: Format, lookup: (operator: FormatOperator) => string | undefined): string {
  let out = ''
  for (const part of format) {
    if (typeof part === 'string') out += part
    else {
      const value = lookup(part)
      out += value === undefined || value === '' ? '-' : part.max > 0 ? value.slice(0, part.max) : value
    }
  }
  return out
}
