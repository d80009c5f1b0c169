// IST0177: ServiceEntries that give one port of a host different protocols. IST0134: TCP ports without an address.
import { isRecord, type ServiceEntry } from '#api'
import type { Problem } from '#lib/problem.ts'
import { fullName, type AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { scopesOf } from '../service-index.ts'

export function serviceEntries(context: AnalysisContext): Problem[] {
  return [...protocolConflicts(context), ...missingAddresses(context)]
}

interface Claim { readonly entry: ServiceEntry; readonly protocol: string; readonly path: string }

function protocolConflicts(context: AnalysisContext): Problem[] {
  const claims = new Map<string, Claim[]>()
  for (const entry of context.all('ServiceEntry')) {
    for (const scope of scopesOf(entry.spec.exportTo, entry.metadata.namespace)) {
      for (const host of entry.spec.hosts ?? []) {
        entry.spec.ports?.forEach((port, i) => {
          const key = `${scope}\0${host}\0${port.number}`
          const list = claims.get(key) ?? []
          claims.set(key, list)
          list.push({ entry, protocol: (port.protocol ?? '').toUpperCase(), path: `spec.ports[${i}].protocol` })
        })
      }
    }
  }
  const said = new Map<ServiceEntry, Problem>()
  for (const [key, own] of claims) {
    const [scope, host, port] = key.split('\0') as [string, string, string]
    const all = scope === '*' ? own : [...own, ...(claims.get(`*\0${host}\0${port}`) ?? [])]
    const protocols = [...new Set(all.map((c) => c.protocol))].sort()
    if (protocols.length < 2) continue
    const names = [...new Set(all.map((c) => fullName(c.entry)))].sort().join(', ')
    for (const { entry, path } of all) if (!said.has(entry)) said.set(entry, say('IST0177', 'warning', entry, path, `The ServiceEntries ${names} define ${host}:${port} with different protocols: ${protocols.join(', ')}`))
  }
  return [...said.values()]
}

/** Addresses that a controller gave it stand in its status. */
function hasAllocated({ raw }: ServiceEntry): boolean {
  const addresses = isRecord(raw['status']) ? raw['status']['addresses'] : undefined
  return Array.isArray(addresses) && addresses.length > 0
}

function missingAddresses(context: AnalysisContext): Problem[] {
  return context.all('ServiceEntry').flatMap((entry): Problem[] => {
    if ((entry.spec.addresses ?? []).length > 0 || hasAllocated(entry)) return []
    return (entry.spec.ports ?? []).flatMap((port, i) => (['', 'TCP'].includes((port.protocol ?? '').toUpperCase()) ? [say('IST0134', 'warning', entry, `spec.ports[${i}]`, 'ServiceEntry addresses are required for this protocol', 'without them the port takes all TCP traffic of its number')] : []))
  })
}
