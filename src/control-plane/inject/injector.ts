// All that an injector goes by, read from what `istio-sidecar-injector` and `istio` hold: one reading for webhook, kube-inject and tests.
import { isRecord } from '#api'
import type { LabelSelector } from '#lib/kubernetes/label-selector.ts'
import type { InjectionSettings } from './decide.ts'
import type { Yaml } from './go-template/index.ts'
import { injectSettings, type InjectSettings } from './settings.ts'
import { strings } from './strings.ts'
import { readTemplates, type Templates } from './templates.ts'

export interface Injector {
  readonly settings: InjectSettings
  readonly injection: InjectionSettings
  readonly templates: Templates
  readonly yaml: Yaml
}

export interface InjectorSource {
  /** Parsed: `policy`, `alwaysInjectSelector`, `neverInjectSelector`, `templates` …. */
  readonly config: unknown
  readonly values: unknown
  readonly meshConfig: unknown
  readonly revision: string
  readonly yaml: Yaml
}

/** `faults`: templates that can't be read, each with its line and column; what is left is not fit to inject by. */
export function createInjector(source: InjectorSource): Injector & { readonly faults: readonly string[] } {
  const { config, values, yaml, revision } = source
  const settings = injectSettings(values, source.meshConfig, revision)
  const { templates, faults } = readTemplates(config, yaml)
  return { settings: { ...settings, injectedAnnotations: isRecord(config) ? strings(config['injectedAnnotations']) : {} }, injection: injectionSettings(config, values, revision), templates, yaml, faults }
}

function injectionSettings(config: unknown, values: unknown, revision: string): InjectionSettings {
  const webhook = isRecord(values) && isRecord(values['sidecarInjectorWebhook']) ? values['sidecarInjectorWebhook'] : {}
  const enableNamespacesByDefault = webhook['enableNamespacesByDefault'] === true
  if (!isRecord(config)) return { revision, enableNamespacesByDefault }
  const selectors = (key: string): readonly LabelSelector[] => (Array.isArray(config[key]) ? (config[key] as unknown[]).filter((s) => isRecord(s)) : [])
  return { revision, enableNamespacesByDefault, policy: policyOf(config['policy']), neverInjectSelector: selectors('neverInjectSelector'), alwaysInjectSelector: selectors('alwaysInjectSelector') }
}

function policyOf(raw: unknown): 'enabled' | 'disabled' | 'invalid' {
  if (raw === undefined || raw === null || raw === '') return 'enabled'
  return raw === 'enabled' || raw === 'disabled' ? raw : 'invalid'
}
