// The certificate at hand beside what the control plane says of the mesh's roots: whether to ask for another one, and when again.
import type { Logger } from '#lib/log.ts'
import type { WorkloadCertificate } from './rotation.ts'
import { isOutdated, trustedRoots } from './trust-change.ts'

const outdatedAgainMs = 3000

export interface Announcements {
  certificate(c: WorkloadCertificate): void
  /** Roots with the control plane's mark. */
  heard(announced: string): void
  /** What is shown to the control plane, and by which roots it is known. */
  shown(): WorkloadCertificate
  end(): void
}

export function announcements(onOutdated: () => void, log: Logger): Announcements {
  let current: WorkloadCertificate | undefined
  let announced = ''
  let again: NodeJS.Timeout | undefined
  return {
    certificate(c) {
      current = c
      // It was under way when that was said, or another replica of the control plane gave it, which has not heard.
      clearTimeout(again)
      if (isOutdated(c, announced)) again = setTimeout(onOutdated, outdatedAgainMs)
    },
    heard(roots) {
      announced = roots
      if (current === undefined || !isOutdated(current, roots)) return
      log.info({}, 'the control plane trusts other roots or another authority')
      onOutdated()
    },
    shown: () => ({ ...(current as WorkloadCertificate), roots: trustedRoots(current as WorkloadCertificate) }),
    end: () => clearTimeout(again),
  }
}
