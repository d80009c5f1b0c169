// kube-proxy's job for pods without a sidecar: a service's virtual address leads to one of its ready endpoints, by chance. Pure.
import type { Match, NftChain, NftRule, NftTable } from '#netlink'
import { endpointsOf, type Mesh } from '#mesh'

/** `extra`: fixed translations besides, as the cluster's DNS address. */
export function serviceRules(mesh: Mesh): NftTable {
  const chains: NftChain[] = []
  const jumps: NftRule[] = []
  for (const service of mesh.services) {
    if (service.origin !== 'kubernetes' || service.headless || service.externalName !== undefined) continue
    for (const port of service.ports) {
      const endpoints = endpointsOf(mesh, service, port).filter((e) => e.ready && /^\d+\.\d+\.\d+\.\d+$/.test(e.address))
      if (endpoints.length === 0) continue
      const name = `svc-${chains.length}`
      const protocol: Match = { match: 'protocol', protocol: port.protocol === 'udp' ? 'udp' : 'tcp' }
      chains.push({ name, rules: endpoints.map((e, i) => ({ match: [protocol, ...chance(endpoints.length - i)], statements: [{ do: 'dnat', address: e.address, port: e.port }] })) })
      for (const address of service.addresses.filter((a) => !a.includes(':'))) {
        jumps.push({ match: [{ match: 'destination', cidr: address }, protocol, { match: 'destination port', port: port.number }], statements: [{ do: 'jump', chain: name }] })
      }
    }
  }
  const own = [...new Set(mesh.workloads.flatMap((w) => w.addresses))].filter((a) => !a.includes(':'))
  // A pod that meets itself behind its own service would answer itself directly: it must see another's address.
  const hairpin: NftRule[] = own.map((a) => ({ match: [{ match: 'source', cidr: a }, { match: 'destination', cidr: a }], statements: [{ do: 'masquerade' }] }))
  return {
    family: 'ip', name: 'kith-services',
    chains: [
      ...chains,
      { name: 'services', rules: jumps },
      { name: 'prerouting', hook: { type: 'nat', hook: 'prerouting', priority: -100 }, rules: [{ match: [], statements: [{ do: 'jump', chain: 'services' }] }] },
      { name: 'output', hook: { type: 'nat', hook: 'output', priority: -100 }, rules: [{ match: [], statements: [{ do: 'jump', chain: 'services' }] }] },
      { name: 'postrouting', hook: { type: 'nat', hook: 'postrouting', priority: 100 }, rules: hairpin },
    ],
  }
}

function chance(left: number): Match[] {
  return left === 1 ? [] : [{ match: 'chance', of: left }]
}
