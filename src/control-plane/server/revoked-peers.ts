// Which certificates the control plane itself no longer takes, by the lists that hold now.
import type { X509Certificate } from 'node:crypto'
import type { Logger } from '#lib/log.ts'
import { readRevocations, type Revocations } from '#identity'

export interface RevokedPeers {
  /** PEM; '' takes all back that was said. */
  take(lists: string): Promise<void>
  named(certificate: X509Certificate): string | undefined
}

export function revokedPeers(now: () => number, log: Logger): RevokedPeers {
  let held = ''
  let current: Revocations | undefined
  return {
    async take(lists) {
      if (lists === held) return
      held = lists
      const next = lists === '' ? undefined : await readRevocations(lists)
      if (lists !== held) return
      current = next
      log.info({ certificates: next?.count ?? 0 }, 'certificates that were revoked')
      if (next !== undefined && next.nextMs < now()) log.warn({ since: new Date(next.nextMs).toISOString() }, 'a revocation list should have had its next; what it names stays refused')
    },
    named: (certificate) => current?.named(certificate),
  }
}
