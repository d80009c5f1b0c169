// Where a redirected connection arrives, and what is looked at before a chain takes it: Envoy's use_original_dst and its inspectors.
import { formatAddress, type SocketAddress } from './address.ts'
import type { RuntimeConfig } from './compile.ts'
import type { RuntimeListener } from './listeners.ts'

/** The listener for this very address, then for its port anywhere, then the virtual one. */
export function findListener(config: RuntimeConfig, inbound: boolean, original: SocketAddress): RuntimeListener | undefined {
  const virtual = config.listeners.get(inbound ? 'virtualInbound' : 'virtualOutbound')
  if (inbound || virtual?.useOriginalDst === false) return virtual
  const any = original.address.includes(':') ? '::' : '0.0.0.0'
  const found = config.byAddress.get(formatAddress(original)) ?? config.byAddress.get(formatAddress({ address: any, port: original.port })) ?? config.byAddress.get(formatAddress({ address: '0.0.0.0', port: original.port }))
  return found !== undefined && found.direction !== 'inbound' && found !== virtual ? found : virtual
}

/** Which inspectors look at a connection to this port: TLS's own, or where a chain ends TLS and none is named; HTTP's own. */
export function inspectsFor(listener: RuntimeListener, port: number): { readonly tls: boolean; readonly http: boolean } {
  const endsTls = listener.chains.some((c) => c.chain.tls !== null) || (listener.defaultChain !== undefined && listener.defaultChain.tls !== null)
  return { tls: listener.tlsInspector?.(port) === true || (listener.tlsInspector === null && endsTls), http: listener.httpInspector?.(port) === true }
}
