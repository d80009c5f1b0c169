// Whose address a request counts as: X-Forwarded-For's last, as Envoy reads it where `use_remote_address` is off (Istio's sidecars).
// Law: any caller can write this header. What must not be forged is asked of the peer (`ipBlocks`).
import { isIP } from 'node:net'

/** The address that ends `value` (lines joined by `,`); undefined: there is none, or it is no plain address, so that the peer counts. `skip`: trusted proxies at the end, passed over. */
export function lastForwarded(value: string | undefined, skip = 0): string | undefined {
  if (value === undefined) return undefined
  const parts = value.split(',')
  const last = parts[parts.length - 1 - skip]?.replace(/^[ \t]+|[ \t]+$/g, '') ?? ''
  return isIP(last) === 0 ? undefined : last.replace(/%.*$/, '').toLowerCase()
}
