// IstioCertificateService: token in, certificate out. Istio: security/pkg/server/ca/server.go.
import { status, type handleUnaryCall } from '@grpc/grpc-js'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { formatSpiffeId } from '#identity'
import type { CertificateChain, CertificateRequest } from '#xds'
import type { Authority } from './authority.ts'
import { issueCertificate } from './issue.ts'
import type { Caller, TokenReviewer } from './tokens.ts'

export interface CaService {
  readonly authority: () => Authority
  /** False: peers may not know its root yet. Default: it may. */
  readonly maySign?: () => boolean
  readonly reviewer: TokenReviewer
  readonly trustDomain: () => string
  /** What the control plane knows of the pod that the token is bound to. A pod that it does not know yet may be known in a moment. Default: nothing is asked. */
  readonly knows?: (caller: Caller) => 'known' | 'unknown' | 'another'
  /** Where the request says nothing. Istio: 24 hours. */
  readonly defaultLifetimeMs: number
  /** More is refused. Istio: 90 days. */
  readonly maxLifetimeMs: number
  readonly now: () => number
  readonly log: Logger
  readonly count: (outcome: 'issued' | 'unauthenticated' | 'refused') => void
}

export function createCertificateHandler(service: CaService): handleUnaryCall<CertificateRequest, CertificateChain> {
  const { log, count } = service
  return (call, callback) => {
    const fail = (code: status, details: string): void => callback({ code, details })
    const token = /^Bearer (.+)$/i.exec(String(call.metadata.get('authorization')[0] ?? ''))?.[1]
    const answer = async (): Promise<void> => {
      const caller = token === undefined ? { refused: 'no token' } : await service.reviewer.authenticate(token)
      if ('refused' in caller) {
        count('unauthenticated')
        log.warn({ reason: caller.refused, peer: call.getPeer() }, 'certificate request not authenticated')
        return fail(status.UNAUTHENTICATED, 'request authenticate failure')
      }
      const known = caller.pod === '' ? 'known' : (service.knows?.(caller) ?? 'known')
      if (known !== 'known') {
        count('unauthenticated')
        log.warn({ namespace: caller.namespace, pod: caller.pod, serviceAccount: caller.serviceAccount }, known === 'unknown' ? 'certificate request of a pod that is not known yet' : 'certificate request of a pod that runs as another account')
        return known === 'unknown' ? fail(status.UNAVAILABLE, `the pod ${caller.pod}.${caller.namespace} is not known`) : fail(status.UNAUTHENTICATED, 'request authenticate failure')
      }
      const asked = call.request.validitySeconds * 1000
      if (asked > service.maxLifetimeMs) {
        count('refused')
        return fail(status.INVALID_ARGUMENT, `a lifetime of ${asked / 1000} s is more than ${service.maxLifetimeMs / 1000} s`)
      }
      if (service.maySign?.() === false) {
        log.info({ namespace: caller.namespace, pod: caller.pod }, 'certificate request waits: the root is being made known')
        return fail(status.UNAVAILABLE, 'the root is being made known, try again')
      }
      const id = formatSpiffeId({ trustDomain: service.trustDomain(), namespace: caller.namespace, serviceAccount: caller.serviceAccount })
      const lifetimeMs = asked <= 0 ? service.defaultLifetimeMs : asked
      const chain = await issueCertificate(service.authority(), { csr: call.request.csr, names: [{ type: 'url', value: id }], lifetimeMs, nowMs: service.now() })
      count('issued')
      log.info({ identity: id, pod: caller.pod, lifetimeSeconds: lifetimeMs / 1000 }, 'certificate issued')
      callback(null, chain)
    }
    answer().catch((error: unknown) => {
      count('refused')
      if (error instanceof KithError && error.code === 'REVIEW_UNAVAILABLE') {
        log.warn({ reason: error.message }, 'token could not be reviewed')
        return fail(status.UNAVAILABLE, 'the token could not be reviewed, try again')
      }
      if (error instanceof KithError && error.code === 'CA_UNFIT') {
        // Another authority may be put in place: until then the sidecar keeps what it has.
        log.error({ reason: error.message }, 'certificate could not be issued')
        return fail(status.UNAVAILABLE, error.message)
      }
      if (error instanceof KithError && error.code === 'CSR_INVALID') return fail(status.INVALID_ARGUMENT, error.message)
      log.error({ error: String(error) }, 'certificate could not be issued')
      fail(status.INTERNAL, 'certificate could not be issued')
    })
  }
}
