// Which templates a pod is injected by: those that its annotation names, else the injector's default ones. Aliases stand for several.
// A configured template takes the place of the built-in one of its name. Istio: pkg/kube/inject/inject.go, selectTemplates.
import { isRecord } from '#api'
import { compileTemplate, structs, TemplateError, type Yaml } from './go-template/index.ts'
import { gatewayTemplate } from './gateway-template.ts'
import { sidecarTemplate } from './sidecar-template.ts'
import { templateData } from './template-data.ts'
import type { InjectionTemplate, PartialPod } from './template-types.ts'

export interface Templates {
  readonly byName: ReadonlyMap<string, InjectionTemplate>
  readonly defaults: readonly string[]
  readonly aliases: ReadonlyMap<string, readonly string[]>
}

const builtIn: readonly InjectionTemplate[] = [sidecarTemplate, gatewayTemplate]
/** Of Istio's, and not ours: what they need is not there. */
const notOffered: Readonly<Record<string, string>> = {
  'grpc-agent': 'proxyless gRPC is not offered', 'grpc-simple': 'proxyless gRPC is not offered', waypoint: 'ambient mode is not offered', 'kube-gateway': 'gateways of the Gateway API are not offered',
}

export const builtInTemplates: Templates = { byName: new Map(builtIn.map((t) => [t.name, t])), defaults: ['sidecar'], aliases: new Map() }

/** From an injector's configuration: `templates`, `defaultTemplates`, `aliases`. */
export function readTemplates(config: unknown, yaml: Yaml): { readonly templates: Templates; readonly faults: readonly string[] } {
  if (!isRecord(config)) return { templates: builtInTemplates, faults: [] }
  const faults: string[] = []
  const byName = new Map(builtInTemplates.byName)
  for (const [name, text] of Object.entries(isRecord(config['templates']) ? config['templates'] : {})) {
    try {
      if (typeof text !== 'string') throw new Error(`templates.${name} must be text`)
      byName.set(name, configured(name, text, yaml))
    } catch (error) {
      faults.push((error as Error).message)
    }
  }
  const names = (raw: unknown): string[] => (Array.isArray(raw) ? raw.filter((n) => typeof n === 'string') : [])
  const defaults = names(config['defaultTemplates'])
  const aliases = new Map(Object.entries(isRecord(config['aliases']) ? config['aliases'] : {}).map(([name, list]) => [name, names(list)] as const))
  return { templates: { byName, defaults: defaults.length === 0 ? builtInTemplates.defaults : defaults, aliases }, faults }
}

/** The templates, or the sentence that says which is not there. */
export function selectTemplates(annotation: string | undefined, { byName, defaults, aliases }: Templates): readonly InjectionTemplate[] | string {
  const asked = annotation === undefined ? defaults : annotation.split(',').map((n) => n.trim())
  const names = asked.flatMap((n) => aliases.get(n) ?? [n])
  const missing = names.find((n) => !byName.has(n))
  if (missing === undefined) return names.map((n) => byName.get(n) as InjectionTemplate)
  const why = Object.hasOwn(notOffered, missing) ? notOffered[missing] : undefined
  return `inject.istio.io/templates: ${why === undefined ? `there is no template "${missing}"; there are ${[...byName.keys()].join(', ')}` : `template "${missing}": ${why}`}`
}

function configured(name: string, text: string, yaml: Yaml): InjectionTemplate {
  const template = compileTemplate(name, text, yaml)
  return {
    name,
    render(input): PartialPod {
      const rendered = template.render(structs(templateData(input)))
      let pod: unknown
      try {
        pod = yaml.parse(rendered)
      } catch (error) {
        throw new Error(`template ${name}: what it renders is no YAML: ${(error as Error).message}`, { cause: error })
      }
      if (pod === null || pod === undefined) return {}
      if (!isRecord(pod)) throw new Error(`template ${name}: what it renders is no part of a pod`)
      const part = (key: string): PartialPod => (isRecord(pod[key]) ? { [key]: pod[key] } : {})
      return { ...part('metadata'), ...part('spec') }
    },
  }
}

/** Of a template, or of what reading its YAML says: a user's mistake. */
export function templateFault(error: unknown): string {
  if (error instanceof TemplateError || (error instanceof Error && error.message.startsWith('template '))) return error.message
  throw error
}
