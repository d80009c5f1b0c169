// Bookkeeping of a request that never became an exchange: its bytes could not be read as one.
import { formatAddress } from '#engine'
import type { Downstream } from './downstream.ts'
import type { Failure } from './failures.ts'
import { connectionOperators } from './operators.ts'

export function refusedRequest(connection: Pick<Downstream, 'core' | 'facts' | 'http' | 'protocol'>, failure: Failure): void {
  const { core, facts, http } = connection
  core.metrics.count('kith_downstream_protocol_errors_total', `direction="${facts.inbound ? 'inbound' : 'outbound'}",details="${failure.details}"`)
  core.accessLogs.log(http.accessLogs, failure.flag, (operator) => {
    switch (operator.op) {
      case 'START_TIME':
        return new Date().toISOString()
      case 'RESPONSE_CODE':
        return String(failure.status)
      case 'PROTOCOL':
        return connection.protocol
      case 'RESPONSE_FLAGS':
        return failure.flag
      case 'RESPONSE_CODE_DETAILS':
        return failure.details
      case 'BYTES_SENT':
        return String(failure.body.length)
      case 'BYTES_RECEIVED':
      case 'DURATION':
        return '0'
      default:
        return connectionOperators(facts, core, operator)
    }
  })
}

/** Tells the log which limit a head or trailers went beyond. */
export function sayLimit(connection: Pick<Downstream, 'core' | 'facts'>, limit: { readonly limitBytes: number } | { readonly limitFields: number }): void {
  const { core, facts } = connection
  core.log.warn({ peer: formatAddress(facts.remote), destination: formatAddress(facts.original), ...limit }, 'request refused: its headers exceed the limit')
}
