// Faults on purpose: a delay, an abort, each for a share of the requests. Law: pure; the chance comes in as arguments.
import { durationMs, fields, type Notes } from './notes.ts'
import type { Any } from '@bufbuild/protobuf/wkt'
import type { HTTPFault } from '../../../generated/types/envoy/extensions/filters/http/fault/v3/fault_pb.ts'
import type { FractionalPercent } from '../../../generated/types/envoy/type/v3/percent_pb.ts'

export interface Fault {
  /** `share` in [0,1]. */
  readonly delay?: { readonly ms: number; readonly share: number }
  readonly abort?: { readonly httpStatus: number; readonly grpcStatus: number | undefined; readonly share: number }
}

export interface FaultDecision {
  /** 0 = none. */
  readonly delayMs: number
  readonly abort: Fault['abort'] | undefined
}

export const faultType = 'envoy.extensions.filters.http.fault.v3.HTTPFault'
export const faultUrl = `type.googleapis.com/${faultType}`

export function compileFault(any: Any, notes: Notes): Fault {
  const fault = notes.unpack<HTTPFault>(any, faultType)
  if (fault === undefined) return {}
  notes.onlyServes(fault, fields('delay abort'))
  const { delay, abort } = fault
  if (delay !== undefined && delay.faultDelaySecifier.case !== 'fixedDelay') notes.notServed(`delay by ${delay.faultDelaySecifier.case ?? 'nothing'}`)
  if (abort !== undefined && abort.errorType.case !== 'httpStatus' && abort.errorType.case !== 'grpcStatus') notes.notServed(`abort by ${abort.errorType.case ?? 'nothing'}`)
  const ms = delay?.faultDelaySecifier.case === 'fixedDelay' ? durationMs(delay.faultDelaySecifier.value, 0) : 0
  const error = abort?.errorType
  return {
    ...(ms > 0 ? { delay: { ms, share: shareOf(delay?.percentage) } } : {}),
    ...(error?.case === 'httpStatus' ? { abort: { httpStatus: error.value, grpcStatus: undefined, share: shareOf(abort?.percentage) } } : {}),
    ...(error?.case === 'grpcStatus' ? { abort: { httpStatus: 200, grpcStatus: error.value, share: shareOf(abort?.percentage) } } : {}),
  }
}

/** An absent percentage is 0, as in Envoy. */
export function shareOf(percent: FractionalPercent | undefined): number {
  if (percent === undefined) return 0
  return percent.numerator / ([100, 10_000, 1_000_000][percent.denominator] ?? 100)
}

/** Each `pick` in [0,1). */
export function decideFault(fault: Fault, pickDelay: number, pickAbort: number): FaultDecision {
  return { delayMs: fault.delay !== undefined && pickDelay < fault.delay.share ? fault.delay.ms : 0, abort: fault.abort !== undefined && pickAbort < fault.abort.share ? fault.abort : undefined }
}
