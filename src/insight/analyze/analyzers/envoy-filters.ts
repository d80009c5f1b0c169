// IST0151–IST0155: EnvoyFilters whose patches have no effect, or one that hangs on the order of others. Istio: pkg/config/analysis/analyzers/envoyfilter.
import { isRecord, type ApiObject, type EnvoyFilterSpec } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'

type Patch = NonNullable<EnvoyFilterSpec['configPatches']>[number]

const unordered: ReadonlySet<string> = new Set(['ROUTE_CONFIGURATION', 'HTTP_ROUTE'])
const replaceable: ReadonlySet<string> = new Set(['NETWORK_FILTER', 'HTTP_FILTER', 'VIRTUAL_HOST'])

export function envoyFilters(context: AnalysisContext): Problem[] {
  // Names of what was patched for certain versions of the proxy, in earlier patches.
  const versioned = new Set<string>()
  return context.all('EnvoyFilter').flatMap((filter): Problem[] => {
    const spec = filter.spec as EnvoyFilterSpec
    const patches = spec.configPatches ?? []
    const end = patches.findIndex((p) => p.patch === undefined)
    return (end === -1 ? patches : patches.slice(0, end)).flatMap((patch, i): Problem[] => {
      const name = nameOf(patch)
      const said = judge(filter, `spec.configPatches[${i}]`, patch, (spec.priority ?? 0) === 0, versioned.has(name))
      if ((patch.match?.proxy?.proxyVersion ?? '') !== '') versioned.add(name)
      return said
    })
  })
}

function nameOf({ patch, match }: Patch): string {
  const value = patch?.value
  if (!isRecord(value)) return ''
  return typeof value['name'] === 'string' ? value['name'] : (match?.listener?.filterChain?.filter?.name ?? '')
}

function judge(filter: ApiObject, at: string, { applyTo = 'INVALID', patch }: Patch, unranked: boolean, versioned: boolean): Problem[] {
  const operation = patch?.operation ?? 'INVALID'
  const relative = (): Problem[] => {
    if (!unranked) return []
    return [versioned
      ? say('IST0155', 'warning', filter, at, `The EnvoyFilter has no priority, and ${operation} hangs on another one that is for certain versions of the proxy: during an upgrade it may not be applied`, 'set priority')
      : say('IST0151', 'warning', filter, at, `The EnvoyFilter has no priority, and ${operation} hangs on what is there already: it may not be applied`, 'set priority, or use INSERT_FIRST or ADD')]
  }
  if (operation === 'ADD') return unordered.has(applyTo) ? [say('IST0153', 'error', filter, at, `The ADD operation is ignored where applyTo is ${applyTo}`)] : []
  if (operation === 'REMOVE') return unordered.has(applyTo) ? [say('IST0154', 'error', filter, at, `The REMOVE operation is ignored where applyTo is ${applyTo}`)] : relative()
  if (operation === 'REPLACE') return replaceable.has(applyTo) ? relative() : [say('IST0152', 'error', filter, at, 'The REPLACE operation is for HTTP_FILTER, NETWORK_FILTER and VIRTUAL_HOST only')]
  return operation === 'INSERT_BEFORE' || operation === 'INSERT_AFTER' ? relative() : []
}
