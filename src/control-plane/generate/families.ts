// IPv4, IPv6 or both: what a pod's own addresses say of the addresses that its proxy listens on, resolves to and calls from.
import { isIPv6 } from 'node:net'
import type { ProxyPlan } from '#plan'
import type { Obj } from './json.ts'

const speaks = (plan: ProxyPlan): { readonly v4: boolean; readonly v6: boolean } => {
  const v6 = plan.proxy.addresses.some((a) => isIPv6(a))
  return { v6, v4: !v6 || plan.proxy.addresses.some((a) => !isIPv6(a)) }
}

/** IPv4 first where there are both. */
export function wildcards(plan: ProxyPlan): readonly [string, string?] {
  const { v4, v6 } = speaks(plan)
  return !v4 ? ['::'] : v6 ? ['0.0.0.0', '::'] : ['0.0.0.0']
}

export function dnsFamily(plan: ProxyPlan): 'V4_ONLY' | 'V6_ONLY' | 'ALL' {
  const { v4, v6 } = speaks(plan)
  return !v6 ? 'V4_ONLY' : v4 ? 'ALL' : 'V6_ONLY'
}

/** Istio's own source addresses: what comes from them is the sidecar talking to its application. */
export function fromSidecar(plan: ProxyPlan): Obj {
  const { v4, v6 } = speaks(plan)
  const [first, second] = [...(v4 ? ['127.0.0.6'] : []), ...(v6 ? ['::6'] : [])].map((address) => ({ address, portValue: 0 }))
  return { sourceAddress: first as Obj, ...(second === undefined ? {} : { extraSourceAddresses: [{ address: second }] }) }
}
