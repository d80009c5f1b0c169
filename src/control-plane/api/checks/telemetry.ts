// What Istio's webhook refuses in Telemetry and ProxyConfig.
import type { TelemetrySpec } from '../kinds/telemetry.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkSelector, checkTargets } from './shared.ts'

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
