// Files of a folder that are no Kubernetes objects, or not yet: what they are, and which command makes objects of them.
// Law: said once, never as a mistake in the mesh. A file that the user named himself is read as it is.
import { basename, dirname, join } from 'node:path'
import type { Problem } from '#lib/problem.ts'
import { templateHelp, type ParsedText, type RawDocument } from './yaml.ts'

export interface ParsedFile extends ParsedText {
  readonly file: string
  /** Found in a folder; else named. */
  readonly found: boolean
}

/** `what` begins the sentence; `run` makes objects of it. */
interface Foreign {
  readonly what: string
  readonly run?: string
}

type Fields = Readonly<Record<string, unknown>>
const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

const kustomizationFile = /^kustomization\.ya?ml$/
const composeFile = /^(docker-)?compose([.-].*)?\.ya?ml$/
const valuesFile = /^values([.-].*)?\.ya?ml$/

/** What a folder's Chart.yaml makes of its other entries: `helm template` reads them. `crds` are objects as they are. */
export function isOfChart(entry: string): boolean {
  return ['templates', 'charts', 'ci', 'Chart.yaml', 'Chart.lock', 'values.schema.json'].includes(entry) || valuesFile.test(entry)
}

export function chartProblem(folder: string): Problem {
  return note(join(folder, 'Chart.yaml'), { what: 'a Helm chart, whose templates are not objects yet', run: `helm template ${folder} | kith validate -f -` })
}

/** Takes what is no object out of what was found in folders, and says what it is. */
export function withoutOthers(parsed: readonly ParsedFile[]): ParsedText & { readonly files: readonly string[] } {
  const patches = new Set(parsed.filter((p) => p.found && kustomizationFile.test(basename(p.file))).flatMap(patchesOf))
  const notes = new Map<string, { readonly foreign: Foreign; readonly files: string[] }>()
  const say = (file: string, foreign: Foreign): void => {
    const key = foreign.run === undefined ? foreign.what : file
    const known = notes.get(key)
    if (known === undefined) notes.set(key, { foreign, files: [file] })
    else if (!known.files.includes(file)) known.files.push(file)
  }
  const left = parsed.flatMap((p): ParsedFile[] => {
    if (!p.found) return [p]
    if (patches.has(p.file)) return []
    const documents = p.documents.filter((d) => {
      const foreign = foreignIn(p.file, d)
      if (foreign !== undefined) say(p.file, foreign)
      return foreign === undefined
    })
    const problems = p.problems.filter((problem) => {
      if (problem.help?.startsWith(templateHelp) === true) say(p.file, templates(p.file))
      return problem.help?.startsWith(templateHelp) !== true
    })
    const isEmpty = documents.length + problems.length === 0 && p.documents.length + p.problems.length > 0
    return isEmpty ? [] : [{ ...p, documents, problems }]
  })
  const said = [...notes.values()].map(({ foreign, files: [first = '', ...more] }) => note(first, foreign, more))
  return { files: left.map((l) => l.file), documents: left.flatMap((l) => l.documents), problems: [...left.flatMap((l) => l.problems), ...said] }
}

/** Named file by file: what the file held before is kept (take-up.ts). */
const templates = (file: string): Foreign => ({ what: 'a template that is not rendered yet', run: `helm template CHART | kith validate -f -, where ${dirname(file)} belongs to a chart` })

function foreignIn(file: string, { value }: RawDocument): Foreign | undefined {
  const name = basename(file)
  const [apiVersion, kind] = isRecord(value) ? [textOf(value['apiVersion']), textOf(value['kind'])] : ['', '']
  if (kustomizationFile.test(name) || apiVersion.startsWith('kustomize.config.k8s.io/')) {
    return { what: 'a kustomization, whose patches and generators count only once it is built', run: `kubectl kustomize ${dirname(file)} | kith validate -f -` }
  }
  if (apiVersion.startsWith('skaffold/')) return { what: 'a Skaffold file', run: 'skaffold render | kith validate -f -' }
  if (isRecord(value) && isTemplate(value['metadata'])) return templates(file)
  if (apiVersion !== '' || kind !== '') return undefined
  if (composeFile.test(name) || isCompose(value)) return { what: 'a Compose file', run: `kompose convert -f ${file} --stdout | kith validate -f -` }
  if (valuesFile.test(name)) return { what: 'a file of values for a Helm chart', run: 'helm template CHART -f VALUES | kith validate -f -' }
  // Half an object is a mistake in an object.
  if (isRecord(value) && ('metadata' in value || 'spec' in value)) return undefined
  return { what: 'no Kubernetes object, since neither apiVersion nor kind is there' }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '')

function isTemplate(metadata: unknown): boolean {
  return isRecord(metadata) && [metadata['name'], metadata['namespace']].some((v) => textOf(v).includes('{{'))
}

function isCompose(value: unknown): boolean {
  const services = isRecord(value) ? value['services'] : undefined
  return isRecord(services) && Object.values(services).some((s) => isRecord(s) && ('image' in s || 'build' in s))
}

/** The files that a kustomization lays over objects. */
function patchesOf({ file, documents }: ParsedFile): string[] {
  const fields = ['patches', 'patchesStrategicMerge', 'patchesJson6902', 'configurations', 'transformers', 'generators', 'replacements']
  const lists = documents.flatMap(({ value }) => (isRecord(value) ? fields.map((f) => value[f]) : []))
  const entries: readonly unknown[] = lists.flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []))
  return entries.flatMap((entry) => {
    const path = isRecord(entry) ? entry['path'] : entry
    return typeof path === 'string' && !path.includes('\n') ? [join(dirname(file), path)] : []
  })
}

function note(file: string, { what, run }: Foreign, more: readonly string[] = []): Problem {
  const others = more.length === 0 ? '' : ` (so ${more.length === 1 ? 'is' : 'are'} ${more.slice(0, 3).join(', ')}${more.length > 3 ? ` and ${more.length - 3} more` : ''})`
  const help = run === undefined ? {} : { help: `run: ${run}` }
  return { code: 'KITH0007', severity: 'info', ref: { kind: '', namespace: '', name: '', path: '', file }, message: `this is ${what}${others}: left out`, ...help }
}
