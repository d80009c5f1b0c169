// Checks that several kinds share: exportTo, selectors, target references, gateway names, regular expressions, header operations.
import { compileExpression } from '#lib/re2.ts'
import type { Findings } from './findings.ts'
import { fqdnFault, isLabel } from './names.ts'

export function checkExportTo(found: Findings, namespace: string, exportTo: readonly string[] | undefined, kind: 'ServiceEntry' | 'selecting DestinationRule' | 'other'): void {
  if (exportTo === undefined || exportTo.length === 0) return
  const seen = new Set<string>()
  exportTo.forEach((entry, i) => {
    const at = `spec.exportTo[${i}]`
    const key = entry === '.' ? namespace : entry
    if (seen.has(key)) return found.error(at, entry === '.' || exportTo.includes('.') && key === namespace ? `both . and ${namespace} stand here, which are the same namespace` : `${entry} stands here twice`)
    if (entry === '~' && kind !== 'ServiceEntry') return found.error(at, '~ (nobody) is for ServiceEntries only')
    if (key !== '*' && key !== '~' && !isLabel(key)) return found.error(at, `${JSON.stringify(entry)} is neither ., nor *, nor a namespace`)
    seen.add(key)
  })
  if (kind === 'selecting DestinationRule' && seen.size > 0) {
    if (!seen.has(namespace)) found.error('spec.exportTo', 'a DestinationRule with a workloadSelector holds in its own namespace only')
    else if (seen.size > 1) found.error('spec.exportTo', 'a DestinationRule with a workloadSelector can be exported to its own namespace only')
  }
  if (seen.has('*') && exportTo.length > 1) found.error('spec.exportTo', '* is everybody: no other entry can stand beside it')
  if (seen.has('~') && exportTo.length > 1) found.error('spec.exportTo', '~ is nobody: no other entry can stand beside it')
}

interface Labels { readonly [key: string]: string }

/** `matchLabels` of the security kinds and DestinationRule. */
export function checkSelector(found: Findings, path: string, selector: { readonly matchLabels?: Labels } | undefined): void {
  if (selector !== undefined) checkLabels(found, path, `${path}.matchLabels`, selector.matchLabels)
}

/** `labels` of the networking kinds. */
export function checkWorkloadSelector(found: Findings, path: string, selector: { readonly labels?: Labels } | undefined): void {
  if (selector !== undefined) checkLabels(found, path, `${path}.labels`, selector.labels)
}

function checkLabels(found: Findings, path: string, labelsPath: string, labels: Labels | undefined): void {
  const entries = Object.entries(labels ?? {})
  for (const [key, value] of entries) {
    if (key === '') found.error(`${labelsPath}.${key}`, 'a label to select by needs a key')
    if (key.includes('*') || value.includes('*')) found.error(`${labelsPath}.${key}`, `a selector takes no wildcard: ${key}=${value}`)
  }
  if (entries.length === 0) found.warn(path, 'this selector names no label, so it selects everything')
}

interface TargetRef { readonly group?: string; readonly kind?: string; readonly name?: string; readonly namespace?: string }
interface Targeted { readonly selector?: { readonly matchLabels?: Labels }; readonly targetRef?: TargetRef; readonly targetRefs?: readonly TargetRef[] }

const targets: ReadonlySet<string> = new Set(['core/Service', 'networking.istio.io/ServiceEntry', 'gateway.networking.k8s.io/Gateway', 'gateway.networking.k8s.io/GatewayClass'])

export function checkTargets(found: Findings, spec: Targeted): void {
  const set = [spec.selector, spec.targetRef, (spec.targetRefs ?? []).length > 0 ? spec.targetRefs : undefined].filter((v) => v !== undefined)
  if (set.length > 1) found.error('spec', 'only one of targetRef, targetRefs and selector may be set')
  checkSelector(found, 'spec.selector', spec.selector)
  if (spec.targetRef !== undefined) checkTarget(found, 'spec.targetRef', spec.targetRef)
  spec.targetRefs?.forEach((ref, i) => checkTarget(found, `spec.targetRefs[${i}]`, ref))
}

function checkTarget(found: Findings, path: string, ref: TargetRef): void {
  if ((ref.name ?? '') === '') found.error(`${path}.name`, 'the target needs a name')
  if ((ref.namespace ?? '') !== '') found.error(`${path}.namespace`, 'a target in another namespace is not supported')
  const target = `${(ref.group ?? '') === '' ? 'core' : ref.group}/${ref.kind ?? ''}`
  if (!targets.has(target)) found.error(path, `${target} can’t be a target; Service, ServiceEntry, Gateway and GatewayClass can`)
}

export function checkGatewayNames(found: Findings, path: string, gateways: readonly string[] | undefined): void {
  for (const [i, name] of (gateways ?? []).entries()) {
    const slash = name.indexOf('/')
    const at = `${path}[${i}]`
    if (slash === -1) {
      const [gateway, namespace] = name.split('.')
      if (namespace !== undefined) found.warn(at, `${JSON.stringify(name)} is the old way to name a gateway`, `write ${namespace}/${gateway}`)
      found.error(at, fqdnFault(name))
      // Istio looks no further.
      return
    }
    const [namespace, gateway] = [name.slice(0, slash), name.slice(slash + 1)]
    if (!isLabel(namespace)) found.error(at, `${JSON.stringify(namespace)} is no namespace`)
    if (!isLabel(gateway)) found.error(at, `${JSON.stringify(gateway)} is no gateway’s name`)
  }
}

/** What is wrong with a regular expression in RE2's syntax. */
export function regexFault(text: string): string | undefined {
  if (text === '') return 'the regular expression is empty'
  if (text.length > 1024) return 'the regular expression has more than 1024 characters'
  if (/^[\w\s/.,:;@=~"'<>!%&-]*(?:\.[*+])?[\w\s/.,:;@=~"'<>!%&-]*$/.test(text)) return undefined
  try {
    compileExpression(text)
    return undefined
  } catch (error) {
    const { message } = error as Error
    if (message.startsWith('it compiles to')) return `the regular expression costs too much: ${message}`
    return `${JSON.stringify(text)} is no regular expression in RE2’s syntax: ${message.replace(/^error parsing regexp: /, '')}`
  }
}

interface HeaderOperations { readonly set?: Labels; readonly add?: Labels; readonly remove?: readonly string[] }
export interface HeadersSpec { readonly request?: HeaderOperations; readonly response?: HeaderOperations }

export const isAuthorityHeader = (name: string): boolean => /^(:authority|host)$/i.test(name)

export function checkHeaders(found: Findings, path: string, headers: HeadersSpec | undefined): void {
  for (const side of ['request', 'response'] as const) {
    const operations = headers?.[side]
    for (const verb of ['add', 'set'] as const) {
      for (const [name, value] of Object.entries(operations?.[verb] ?? {})) {
        const at = `${path}.${side}.${verb}.${name}`
        if (!(side === 'request' && isAuthorityHeader(name))) found.error(at, headerFault(name))
        found.error(at, headerValueFault(value))
      }
    }
    operations?.remove?.forEach((name, i) => found.error(`${path}.${side}.remove[${i}]`, headerFault(name)))
  }
}

function headerFault(name: string): string | undefined {
  if (name === '') return 'a header needs a name'
  return name.startsWith(':') || /^host$/i.test(name) ? `the header ${JSON.stringify(name)} can’t be changed` : undefined
}

/** Envoy's `%VARIABLE%` must be closed; a percent sign itself is `%%`. */
function headerValueFault(value: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000a-\u001f\u007f]/.test(value)) return 'the value has a control character'
  return headerValue.test(value) ? undefined : `${JSON.stringify(value)} has a %VARIABLE% that is not well formed; a percent sign itself is %%`
}

/** Text, `%%`, `%NAME%`, `%NAME(text)%` and `%NAME(["text", …])%`; in a text of brackets, \ takes the next character along. */
const headerValue = ((): RegExp => {
  const text = '(?:\\\\.|[^\\\\)"])*'
  const list = `${text}(?:" *, *"${text})*`
  return new RegExp(`^(?:[^%]|%[^%(]*(?:\\( *(?:\\[ *"|[^ \\[])(?:${list}\\)|${list}" *\\] *\\)) *)?%)*$`, 's')
})()

/** What HTTP allows as a header's name. */
export function tokenFault(name: string): string | undefined {
  if (name === '') return 'a header needs a name'
  return /^[!#$%&'*+,\-.^_`|~A-Za-z0-9]+$/.test(name) ? undefined : `${JSON.stringify(name)} is no header name`
}

const headerName = /^[-_A-Za-z0-9]+$/
export function headerNameFault(name: string): string | undefined {
  if (name === '') return 'a header needs a name'
  return headerName.test(name) ? undefined : `${JSON.stringify(name)} is no header name`
}
