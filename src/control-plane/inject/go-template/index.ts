// Injection templates: Go's text/template with the functions that Istio offers, interpreted here (docs/decisions/go-templates.md says why).
// Law: strict and closed. An error has line and column; a template can reach nothing but its data.
import { injectionFunctions } from './istio-functions.ts'
import { parseTemplate, type ParsedTemplate } from './parse.ts'
import { runTemplate } from './run.ts'
import type { Yaml } from './functions.ts'

export { proxyDefaults } from './proxy-defaults.ts'
export { TemplateError } from './source.ts'
export { Struct, structs } from './values.ts'
export type { Yaml } from './functions.ts'

export interface CompiledTemplate {
  readonly name: string
  /** Throws TemplateError. */
  render(data: unknown): string
}

/** Throws TemplateError. */
export function compileTemplate(name: string, text: string, yaml: Yaml): CompiledTemplate {
  const functions = injectionFunctions(yaml)
  const parsed: ParsedTemplate = parseTemplate(name, text, new Set(Object.keys(functions)))
  return { name, render: (data) => runTemplate(parsed, data, functions) }
}
