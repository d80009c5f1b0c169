// Where a listener waits for the client's first bytes before it does anything: a server that speaks first is
// not heard until then.
import { findListener, inspectsFor, type RuntimeConfig, type SocketAddress } from '#engine'

/** `ms` 0: for ever. null: it does not look. */
export function waitsForClient(
  config: RuntimeConfig,
  inbound: boolean,
  original: SocketAddress,
): { readonly ms: number; readonly goesOn: boolean } | null {
  const listener = findListener(config, inbound, original)
  if (listener === undefined) return null
  const looks = inspectsFor(listener, original.port)
  return looks.tls || looks.http
    ? { ms: listener.inspectTimeoutMs, goesOn: listener.continueOnTimeout }
    : null
}
