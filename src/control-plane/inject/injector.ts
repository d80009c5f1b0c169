// All that an injector goes by, read from what `istio-sidecar-injector` and `istio` hold: one reading for webhook, kube-inject and tests.
import { isRecord } from '#api'
import type { InjectionSettings, LabelSelector } from './decide.ts'
import type { ObjectContext } from './inject-object.ts'
import { injectSettings } from './settings.ts'

export interface InjectorSource {
  /** Parsed: `policy`, `alwaysInjectSelector`, `neverInjectSelector`, `templates` … */
  readonly config: unknown
  readonly values: unknown
  readonly meshConfig: unknown
  readonly revision: string
  readonly parseYaml: (text: string) => unknown
}

export function createInjector(source: InjectorSource): ObjectContext {
  return { settings: injectSettings(source.values, source.meshConfig, source.revision), injection: injectionSettings(source.config, source.revision), parseYaml: source.parseYaml }
}

function injectionSettings(config: unknown, revision: string): InjectionSettings {
  if (!isRecord(config)) return { revision }
  const selectors = (key: string): readonly LabelSelector[] => (Array.isArray(config[key]) ? (config[key] as unknown[]).filter((s) => isRecord(s)) : [])
  return { revision, policy: config['policy'] === 'disabled' ? 'disabled' : 'enabled', neverInjectSelector: selectors('neverInjectSelector'), alwaysInjectSelector: selectors('alwaysInjectSelector') }
}
