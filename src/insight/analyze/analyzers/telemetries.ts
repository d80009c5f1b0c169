// IST0101, IST0159, IST0160: Telemetries as Sidecars. IST0157: access logs that nobody is named to write.
import { isRecord } from '#api'
import type { Problem } from '#lib/problem.ts'
import type { AnalysisContext } from '../context.ts'
import { say } from '../problem.ts'
import { selectorConflicts } from '../selector-conflicts.ts'

export function telemetries(context: AnalysisContext): Problem[] {
  return selectorConflicts(context, {
    objects: context.all('Telemetry'), plural: 'Telemetries', path: 'spec.selector.matchLabels', conflict: 'IST0159', several: 'IST0160',
    selectorOf: ({ spec }) => (spec.selector === undefined ? undefined : (spec.selector.matchLabels ?? {})),
  })
}

export function telemetryProviders(context: AnalysisContext): Problem[] {
  const defaults: unknown = context.meshConfig.defaultProviders
  if (isRecord(defaults) && Array.isArray(defaults['accessLogging']) && defaults['accessLogging'].length > 0) return []
  return context.all('Telemetry').flatMap((telemetry) =>
    (telemetry.spec.accessLogging ?? []).flatMap((log, i) => (log.disabled === true || (log.providers ?? []).length > 0 ? [] : [say('IST0157', 'warning', telemetry, `spec.accessLogging[${i}]`, 'accessLogging names no provider, and meshConfig.defaultProviders.accessLogging none either: it has no effect', 'name one: providers: [{name: envoy}]')])))
}
