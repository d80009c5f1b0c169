// What Istio's webhook refuses in Telemetry, ProxyConfig and EnvoyFilter.
import type { TelemetrySpec } from '../kinds/telemetry.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkSelector, checkTargets, checkWorkloadSelector } from './shared.ts'

export function checkTelemetry(object: ApiObject, found: Findings): void {
  const spec = object.spec as TelemetrySpec
  checkTargets(found, spec)
  if ((spec.tracing ?? []).length > 1) found.warn('spec.tracing', 'only one entry is supported')
  spec.tracing?.forEach((tracing, i) => {
    if ((tracing.providers ?? []).length > 1) found.warn(`spec.tracing[${i}].providers`, 'only one provider is supported')
    for (const name of Object.keys(tracing.customTags ?? {})) if (name === '') found.error(`spec.tracing[${i}].customTags`, 'a tag needs a name')
  })
}

export function checkProxyConfig(object: ApiObject, found: Findings): void {
  checkSelector(found, 'spec.selector', (object.spec as { selector?: { matchLabels?: Record<string, string> } }).selector)
}

interface EnvoyFilterSpec { readonly workloadSelector?: { readonly labels?: Readonly<Record<string, string>> }; readonly configPatches?: readonly { readonly applyTo?: string; readonly patch?: { readonly operation?: string; readonly value?: unknown } }[] }

export function checkEnvoyFilter(object: ApiObject, found: Findings): void {
  const spec = object.spec as EnvoyFilterSpec
  checkWorkloadSelector(found, 'spec.workloadSelector', spec.workloadSelector)
  spec.configPatches?.forEach(({ applyTo = 'INVALID', patch }, i) => {
    const at = `spec.configPatches[${i}]`
    if (applyTo === 'INVALID') return found.error(`${at}.applyTo`, 'applyTo is required')
    if (patch === undefined) return found.error(`${at}.patch`, 'a patch is required')
    const operation = patch.operation ?? 'INVALID'
    if (operation === 'INVALID') found.error(`${at}.patch.operation`, 'an operation is required')
    if (operation !== 'REMOVE' && operation !== 'INVALID' && patch.value === undefined) found.error(`${at}.patch.value`, `the operation ${operation} needs a value`)
  })
}
