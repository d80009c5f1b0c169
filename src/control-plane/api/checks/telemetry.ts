// What Istio's webhook refuses in Telemetry and ProxyConfig.
import type { TelemetrySpec } from '../kinds/telemetry.ts'
import type { ApiObject } from '../object.ts'
import type { Findings } from './findings.ts'
import { checkSelector, checkTargets } from './shared.ts'

export function checkTelemetry(object: ApiObject, found: Findings): void {
  const spec = object.spec as TelemetrySpec
  checkTargets(found, spec)
  if ((spec.tracing ?? []).length > 1) found.warn('spec.tracing', 'only one entry is supported')
  spec.tracing?.forEach((tracing, i) => checkTracing(found, `spec.tracing[${i}]`, tracing))
  spec.metrics?.forEach(({ providers, overrides }, i) => {
    checkProviders(found, `spec.metrics[${i}]`, providers)
    overrides?.forEach(({ match, tagOverrides }, n) => {
      const at = `spec.metrics[${i}].overrides[${n}]`
      if (match?.customMetric === '') found.error(`${at}.match.customMetric`, 'a metric needs a name')
      for (const [tag, { operation, value = '' }] of Object.entries(tagOverrides ?? {})) {
        if (tag === '') found.warn(`${at}.tagOverrides`, 'a tag needs a name')
        if (operation === 'REMOVE' ? value !== '' : value === '') found.error(`${at}.tagOverrides.${tag}`, operation === 'REMOVE' ? 'value may only be set where operation is UPSERT' : 'value must be set where operation is UPSERT')
      }
    })
  })
  spec.accessLogging?.forEach(({ providers, filter }, i) => {
    checkProviders(found, `spec.accessLogging[${i}]`, providers)
    // Whether it is CEL at all, the proxy says.
    if (filter !== undefined && (filter.expression ?? '').trim() === '') found.error(`spec.accessLogging[${i}].filter.expression`, 'a filter needs an expression')
  })
}

type Tracing = NonNullable<TelemetrySpec['tracing']>[number]

function checkTracing(found: Findings, path: string, tracing: Tracing): void {
  if ((tracing.providers ?? []).length > 1) found.warn(`${path}.providers`, 'only one provider is supported')
  checkProviders(found, path, tracing.providers)
  const percentage = tracing.randomSamplingPercentage ?? 0
  if (percentage < 0 || percentage > 100) found.error(`${path}.randomSamplingPercentage`, `${percentage} is no percentage from 0 to 100`)
  for (const [name, tag] of Object.entries(tracing.customTags ?? {})) {
    const at = `${path}.customTags.${name}`
    if (name === '') found.error(`${path}.customTags`, 'a tag needs a name')
    if (tag.literal !== undefined && (tag.literal.value ?? '') === '') found.error(`${at}.literal.value`, 'a literal tag needs a value')
    for (const kind of ['header', 'environment'] as const) if (tag[kind] !== undefined && (tag[kind].name ?? '') === '') found.error(`${at}.${kind}.name`, `the tag needs the name of the ${kind === 'header' ? 'header' : 'variable'}`)
  }
}

function checkProviders(found: Findings, path: string, providers: readonly { readonly name?: string }[] | undefined): void {
  providers?.forEach(({ name }, i) => found.error(`${path}.providers[${i}].name`, (name ?? '') === '' ? 'a provider needs a name' : undefined))
}

export function checkProxyConfig(object: ApiObject, found: Findings): void {
  const spec = object.spec as { readonly selector?: { readonly matchLabels?: Record<string, string> }; readonly concurrency?: number }
  checkSelector(found, 'spec.selector', spec.selector)
  if ((spec.concurrency ?? 0) < 0) found.error('spec.concurrency', 'must not be negative')
}
