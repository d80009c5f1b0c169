// Which certificates the control plane itself no longer takes, by the lists that hold now.
import type { X509Certificate } from 'node:crypto'
import type { Logger } from '#lib/log.ts'
import { HeldRevocations } from '#identity'

export interface RevokedPeers {
  /** PEM; '' takes all back that was said. */
  take(lists: string): Promise<void>
  named(certificate: X509Certificate): string | undefined
}

export function revokedPeers(now: () => number, log: Logger): RevokedPeers {
  const lists = new HeldRevocations()
  return {
    async take(pem) {
      if (!(await lists.take(pem))) return
      const { held } = lists
      log.info({ certificates: held?.count ?? 0 }, 'certificates that were revoked')
      if (held !== undefined && held.nextMs < now()) log.warn({ since: new Date(held.nextMs).toISOString() }, 'a revocation list should have had its next; what it names stays refused')
    },
    named: (certificate) => lists.held?.named(certificate),
  }
}
