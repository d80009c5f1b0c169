// Hears of the mesh's roots where the proxy asks for its configuration itself and nobody else would tell the agent: a stream with the Secret ROOTCA alone.
import type { Logger } from '#lib/log.ts'
import { DeltaClientState, trustName, typeUrls, type XdsNode } from '#xds'
import { AdsStream } from './ads-stream.ts'
import { announcements } from './announced.ts'
import type { WorkloadCertificate } from './rotation.ts'
import { announcedTrust } from './trust-change.ts'

export interface TrustFollowerOptions {
  readonly address: string
  readonly serverName: string
  readonly node: XdsNode
  /** The certificate at hand shall be replaced. */
  readonly onOutdated: () => void
  readonly log: Logger
}

export interface TrustFollower {
  certificate(c: WorkloadCertificate): void
  begin(): void
  end(): void
}

export function trustFollower({ address, serverName, node, onOutdated, log }: TrustFollowerOptions): TrustFollower {
  const state = new DeltaClientState([typeUrls.secret], new Set())
  state.want(typeUrls.secret, new Set([trustName]))
  const announced = announcements(onOutdated, log)
  const stream = new AdsStream({
    address, serverName, node, log, pick: Math.random, certificate: announced.shown, opening: () => state.connect(),
    onResponse(response) {
      stream.write(state.response(response, () => []).reply)
      const resource = state.of(typeUrls.secret).get(trustName)
      if (resource === undefined) return
      const { roots, revocations } = announcedTrust(resource)
      announced.heard(roots)
      // Envoy refuses whatever an authority without a current list of its own has signed: while one takes over from another that is everybody.
      if (revocations !== '') log.warn({}, 'there are revocation lists: Envoy is not given them, what they name counts until it ends')
    },
  })
  return {
    certificate(c) {
      announced.certificate(c)
      stream.reconnect()
    },
    begin: () => stream.start(),
    end() {
      announced.end()
      stream.stop()
    },
  }
}
