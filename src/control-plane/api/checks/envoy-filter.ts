// What Istio's webhook refuses in an EnvoyFilter. Istio: pkg/config/validation/envoyfilter. What its patches hold is Envoy's to read.
import type { EnvoyFilterSpec } from '../kinds/networking.ts'
import { isRecord } from '../decode-fields.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkWorkloadSelector, regexFault } from './shared.ts'

type Patch = NonNullable<EnvoyFilterSpec['configPatches']>[number]
type Match = NonNullable<Patch['match']>

const listenerClass: ReadonlySet<string> = new Set(['LISTENER', 'FILTER_CHAIN', 'NETWORK_FILTER', 'HTTP_FILTER'])
const routeClass: ReadonlySet<string> = new Set(['ROUTE_CONFIGURATION', 'VIRTUAL_HOST', 'HTTP_ROUTE'])
const connectionManager: ReadonlySet<string> = new Set(['envoy.filters.network.http_connection_manager', 'envoy.http_connection_manager'])

export function checkEnvoyFilter(object: ApiObject, found: Findings): void {
  const spec = object.spec as EnvoyFilterSpec
  found.warn('spec', 'an EnvoyFilter changes the inside of the proxy, which may change with every version', 'prefer another API, and look at it before each upgrade')
  checkWorkloadSelector(found, 'spec.workloadSelector', spec.workloadSelector)
  spec.configPatches?.forEach((patch, i) => checkPatch(found, `spec.configPatches[${i}]`, patch))
}

function checkPatch(found: Findings, at: string, { applyTo = 'INVALID', match, patch }: Patch): void {
  if (match?.context === 'WAYPOINT') return
  if (applyTo === 'INVALID') return found.error(`${at}.applyTo`, 'applyTo is required')
  if (patch === undefined) return found.error(`${at}.patch`, 'a patch is required')
  const operation = patch.operation ?? 'INVALID'
  if (operation === 'INVALID') return found.error(`${at}.patch.operation`, 'an operation is required')
  if (operation !== 'REMOVE' && patch.value === undefined) return found.error(`${at}.patch.value`, `the operation ${operation} needs a value`)
  const version = match?.proxy?.proxyVersion ?? ''
  if (version.length > 1024) found.warn(`${at}.match.proxy.proxyVersion`, 'this is longer than 1024 characters, and ignored')
  else if (version !== '' && regexFault(version) !== undefined) return found.error(`${at}.match.proxy.proxyVersion`, regexFault(version))
  if (match !== undefined) checkMatch(found, `${at}.match`, applyTo, match)
  checkTypes(found, `${at}.patch.value`, patch.value)
}

/** Whatever Envoy takes as `typed_config` says its type. */
function checkTypes(found: Findings, at: string, value: unknown): void {
  if (Array.isArray(value)) return value.forEach((item, i) => checkTypes(found, `${at}[${i}]`, item))
  if (!isRecord(value)) return
  for (const [key, item] of Object.entries(value)) {
    if (key === 'typed_config' || key === 'typedConfig') {
      const type = isRecord(item) ? item['@type'] : undefined
      // protobuf takes {} for no type at all.
      if (item !== null && !(isRecord(item) && Object.keys(item).length === 0) && (typeof type !== 'string' || !/^[^/]*\/[\w.]+$/.test(type))) found.error(`${at}.${key}`, `${key} must be an object whose "@type" names its type: type.googleapis.com/envoy…`)
    }
    checkTypes(found, `${at}.${key}`, item)
  }
}

function checkMatch(found: Findings, at: string, applyTo: string, match: Match): void {
  const given = (['listener', 'routeConfiguration', 'cluster', 'waypoint'] as const).find((name) => match[name] !== undefined)
  if (given === undefined) return
  const wanted = listenerClass.has(applyTo) ? 'listener' : routeClass.has(applyTo) ? 'routeConfiguration' : applyTo === 'CLUSTER' ? 'cluster' : given
  if (given !== wanted) return found.error(`${at}.${given}`, `applyTo ${applyTo} is matched by ${wanted}, not by ${given}`)
  const filter = match.listener?.filterChain?.filter
  if (filter === undefined || wanted !== 'listener') return
  const path = `${at}.listener.filterChain.filter`
  if (applyTo === 'LISTENER' || applyTo === 'FILTER_CHAIN') found.warn(path, `a filter is not looked at where applyTo is ${applyTo}`)
  if ((filter.name ?? '') === '') return found.error(`${path}.name`, 'a filter to match needs a name')
  if (filter.subFilter === undefined) return
  if (applyTo !== 'HTTP_FILTER') found.error(`${path}.subFilter`, 'a subFilter goes with applyTo HTTP_FILTER only')
  else if (!connectionManager.has(filter.name as string)) found.error(`${path}.subFilter`, 'a subFilter is one of envoy.filters.network.http_connection_manager')
  else if ((filter.subFilter.name ?? '') === '') found.error(`${path}.subFilter.name`, 'a subFilter to match needs a name')
}
