// Answers to Envoy's format operators that a connection alone can give; requests answer the rest.
import { formatAddress, type FormatOperator } from '#engine'
import type { ConnectionFactsSeen, Core } from './core.ts'

/** undefined: not known, printed as `-`. */
export function connectionOperators(facts: ConnectionFactsSeen, core: Core, operator: FormatOperator): string | undefined {
  switch (operator.op) {
    case 'DOWNSTREAM_LOCAL_ADDRESS':
      return formatAddress(facts.original)
    case 'DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT':
      return facts.original.address
    case 'DOWNSTREAM_LOCAL_PORT':
      return String(facts.original.port)
    case 'DOWNSTREAM_REMOTE_ADDRESS':
    case 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS':
      return formatAddress(facts.remote)
    case 'DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT':
    case 'DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT':
      return facts.remote.address
    case 'DOWNSTREAM_REMOTE_PORT':
      return String(facts.remote.port)
    case 'REQUESTED_SERVER_NAME':
      return facts.serverName
    case 'FILTER_CHAIN_NAME':
      return facts.chain.name
    case 'CONNECTION_ID':
      return String(facts.id)
    case 'DOWNSTREAM_PEER_URI_SAN':
      return facts.tls?.peer?.uriSans.join(',')
    case 'DOWNSTREAM_PEER_SUBJECT':
      return facts.tls?.peer?.subject
    case 'DOWNSTREAM_PEER_FINGERPRINT_256':
      return facts.tls?.peer?.fingerprint
    case 'DOWNSTREAM_LOCAL_URI_SAN':
      return facts.localPrincipal
    case 'DOWNSTREAM_TLS_VERSION':
      return facts.tls?.version
    case 'DOWNSTREAM_TLS_CIPHER':
      return facts.tls?.cipher
    case 'HOSTNAME':
      return core.identity.pod
    default:
      return undefined
  }
}
