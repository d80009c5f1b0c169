// kith analyze [FILE…]: istioctl analyze, over files, over the cluster of the kubeconfig, or over both: files laid over the cluster. Exit codes: 79 a message at or above --failure-threshold, 65 something could not be read, 64 wrong usage.
import { Command } from 'commander'
import { clusterScoped, decodeMeshConfig, isRecord } from '#api'
import { analyze } from '#insight/analyze/analyze.ts'
import { analyzers } from '#insight/analyze/analyzers.ts'
import { documentationUrl, messageKinds } from '#insight/analyze/messages.ts'
import type { Problem } from '#lib/problem.ts'
import { decodeObjects, readFiles, type RawDocument, type ReadFiles } from '#sources'
import { clusterOptions, namesCluster, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { meshConfigOf } from '../load-mesh.ts'
import { attachLocal, isLocal } from '../local-mesh.ts'
import { messageText, originText, referenceText } from '../message-text.ts'

const levels = ['Error', 'Warning', 'Info'] as const
type Level = (typeof levels)[number]
const levelOf = (p: Problem): Level => (p.severity === 'error' ? 'Error' : p.severity === 'warning' ? 'Warning' : 'Info')

interface Options extends ClusterOptions {
  readonly output: string
  readonly color?: true | string
  readonly allNamespaces?: true
  readonly namespace?: string
  readonly filename: readonly string[]
  readonly suppress: readonly string[]
  readonly failureThreshold: string
  readonly outputThreshold: string
  readonly meshConfigFile?: string
  readonly ignoreUnknown?: true
  readonly listAnalyzers?: true
  readonly analyzer: readonly string[]
  readonly useKube?: boolean | string
  readonly istioNamespace: string
  readonly local?: boolean | string
}

const several = (value: string, all: readonly string[]): readonly string[] => [...all, value]

export function build(): Command {
  return clusterOptions(new Command('analyze'))
    .summary('what is wrong with a mesh: these files, or a cluster')
    .description('Says what is wrong with a mesh: that of the files, as if they were a cluster; without files that of the cluster, or with --local of the mesh on this machine; with --use-kube that which the cluster would be with the files applied.')
    .argument('[files...]', 'files and folders; - is standard input')
    .option('-o, --output <format>', 'log, json or yaml', 'log')
    .option('-A, --all-namespaces', 'messages of all namespaces (the default for files)')
    .option('-n, --namespace <name>', 'messages of this namespace only (of a cluster: the context’s)')
    .option('-f, --filename <path>', 'file or folder, as the arguments; repeatable', several, [])
    .option('-S, --suppress <code=origin>', 'leave out messages: "IST0102=Namespace default", * stands for anything; repeatable', several, [])
    .option('--failure-threshold <level>', 'exit 79 from this level on: Info, Warning, Error', 'Error')
    .option('--output-threshold <level>', 'print from this level on', 'Info')
    .option('--meshConfigFile, --mesh-config-file <file>', 'MeshConfig of the mesh')
    .option('--ignore-unknown', 'documents that can’t be read are no failure')
    .option('-L, --list-analyzers', 'list the analyzers')
    .option('--analyzer <name>', 'run this one only; repeatable', several, [])
    .option('-R, --recursive', 'folders below too (always so)')
    .option('-k, --use-kube [yes]', 'files laid over the cluster of the kubeconfig; without files, the cluster is read anyway')
    .option('--local [folder]', 'the mesh that runs on this machine; with files, they are laid over it')
    .option('--color [yes]', 'colours; the default on a terminal')
    .option('-v, --verbose', 'accepted')
    .option('--timeout <duration>', 'accepted')
    .option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    .option('--revision <name>', 'accepted')
    .action(run)
}

async function run(files: readonly string[], options: Options): Promise<void> {
  if (options.listAnalyzers === true) return void process.stdout.write(listing())
  const [failure, output] = [threshold(options.failureThreshold), threshold(options.outputThreshold)]
  if (!['log', 'json', 'yaml'].includes(options.output)) throw new ExitError(64, `${options.output} is no output format: log, json or yaml`)
  const unknown = options.analyzer.filter((name) => !analyzers.some((a) => a.name === name) && name !== 'schema')
  if (unknown.length > 0) throw new ExitError(64, `there is no analyzer ${unknown.join(', ')}; kith analyze -L lists them`)
  const input = await readInput([...files, ...options.filename], options)
  const config = meshConfig(options.meshConfigFile) ?? input.meshConfig ?? meshConfigOf(decodeObjects(input.documents.filter(({ value }) => isRecord(value) && value['kind'] === 'ConfigMap')).objects)
  const { messages, unreadable } = analyze(input.documents, { meshConfig: config.config, only: options.analyzer, now: new Date() })
  const broken = [...input.problems, ...unreadable]
  const all = [...config.problems, ...messages].filter((p) => !suppressed(p, options.suppress) && within(p, options, input.cluster))
  const shown = all.filter((p) => levels.indexOf(levelOf(p)) <= output)
  for (const code of unknownCodes(options.suppress)) process.stderr.write(`Warning: ${code} is no code of a message, so --suppress ${code}=… has no effect.\n`)
  print([...broken.filter((p) => levels.indexOf(levelOf(p)) <= output), ...shown], options)
  if (options.output === 'log' && broken.length + shown.length === 0) process.stderr.write(`✔ No validation issues found when analyzing ${input.what}.\n`)
  if (all.some((p) => levels.indexOf(levelOf(p)) <= failure)) {
    if (options.output === 'log') process.stderr.write(`Error: Analyzers found issues when analyzing ${input.what}.\nSee https://istio.io/v1.31/docs/reference/config/analysis for more information about causes and resolutions.\n`)
    process.exitCode = 79
  } else if (broken.some((p) => p.severity === 'error') && options.ignoreUnknown !== true) process.exitCode = 65
}

interface Input {
  readonly documents: readonly RawDocument[]
  readonly problems: readonly Problem[]
  /** Of kith.yaml. */
  readonly meshConfig?: ReturnType<typeof decodeMeshConfig>
  /** For the sentences: `policies.yaml`, `namespace: default`. */
  readonly what: string
  /** Namespace of the context, where a cluster was read. */
  readonly cluster?: string
}

async function readInput(paths: readonly string[], options: Options): Promise<Input> {
  const files = readFiles(paths)
  const asked = options.useKube === true || options.useKube === 'true'
  if (isLocal(options, paths.length > 0 || asked)) return overLocal(paths, files, options)
  if (paths.length > 0 && !asked) return { ...files, what: paths.join(', ') }
  if (options.useKube === 'false' || (!asked && !namesCluster(options))) throw new ExitError(64, 'name the files or folders to analyze (kith analyze .), a mesh that runs here with --local, or a cluster with KUBECONFIG, --kubeconfig or --context')
  const { readCluster } = await import('../cluster-objects.ts')
  return withCluster(options, async (client) => {
    const read = await readCluster(client, { templates: true, istioNamespace: options.istioNamespace })
    const namespace = options.namespace ?? client.namespace
    const over = files.documents.map((d) => ({ ...d, value: inNamespace(d.value, namespace) }))
    const where = options.allNamespaces === true ? 'all namespaces' : `namespace: ${namespace}`
    // Files come last: an object of the cluster that a file has too is taken from the file.
    return { documents: [...read.documents, ...over], problems: [...read.problems, ...files.problems], what: paths.length === 0 ? where : `${paths.join(', ')} over ${where}`, cluster: namespace }
  })
}

/** Files come last, as over a cluster. */
async function overLocal(paths: readonly string[], files: ReadFiles, options: Options): Promise<Input> {
  if (options.useKube !== undefined && options.useKube !== 'false') throw new ExitError(64, 'name one mesh: --local or --use-kube')
  const mesh = await attachLocal(options)
  const { documents, problems } = await mesh.documents()
  const { readMeshFile } = await import('#local')
  const own = readMeshFile(mesh.dir).meshConfig
  return {
    ...(own === undefined ? {} : { meshConfig: decodeMeshConfig(own, {}) }),
    documents: [...documents, ...files.documents], problems: [...problems, ...files.problems], what: [...paths, mesh.dir].join(' over '),
  }
}

/** Where kubectl apply would put it. */
function inNamespace(value: unknown, namespace: string): unknown {
  if (!isRecord(value) || !isRecord(value['metadata']) || value['metadata']['namespace'] !== undefined || clusterScoped.has(String(value['kind']))) return value
  return { ...value, metadata: { ...value['metadata'], namespace } }
}

function threshold(text: string): number {
  const index = levels.findIndex((l) => l.toLowerCase() === text.toLowerCase())
  if (index === -1) throw new ExitError(64, `${text} is no level: Info, Warning or Error`)
  return index
}

function meshConfig(file: string | undefined): ReturnType<typeof decodeMeshConfig> | undefined {
  if (file === undefined) return undefined
  const read = readFiles([file])
  if (read.problems[0] !== undefined) throw new ExitError(1, read.problems[0].message)
  const document = read.documents[0]
  return document === undefined ? { config: {}, problems: [] } : decodeMeshConfig(document.value, document.origin)
}

/** Objects without a namespace concern everybody; of a cluster, a Namespace concerns itself. */
function within(p: Problem, options: Options, cluster: string | undefined): boolean {
  const namespace = options.namespace ?? cluster
  if (namespace === undefined || options.allNamespaces === true) return true
  const own = cluster !== undefined && p.ref.kind === 'Namespace' ? p.ref.name : p.ref.namespace
  return own === '' || own === namespace
}

function suppressed(p: Problem, suppress: readonly string[]): boolean {
  return suppress.some((entry) => {
    const equals = entry.indexOf('=')
    if (equals === -1) throw new ExitError(64, `${entry} is no suppression: <code>=<Kind namespace/name>`)
    const [code, origin] = [entry.slice(0, equals), entry.slice(equals + 1)]
    const pattern = new RegExp(`^${origin.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`)
    return code === p.code && pattern.test(originText(p.ref))
  })
}

function unknownCodes(suppress: readonly string[]): string[] {
  return [...new Set(suppress.map((entry) => entry.split('=')[0] as string))].filter((code) => messageKinds[code] === undefined)
}

function print(problems: readonly Problem[], { output: format, color }: Options): void {
  const colour = color === undefined ? process.stdout.isTTY === true : color !== 'false'
  if (format === 'log') return void process.stdout.write(problems.map((p) => `${messageText(p, levelOf(p), colour)}\n`).join(''))
  const plain = problems.map((p) => ({
    code: p.code, documentationUrl: documentationUrl(p.code), level: levelOf(p), message: p.help === undefined ? p.message : `${p.message}; ${p.help}`, origin: originText(p.ref), reference: referenceText(p.ref),
    ...(p.ref.path === '' ? {} : { path: p.ref.path }), ...(p.ref.column === undefined ? {} : { column: p.ref.column }),
  }))
  // JSON strings are YAML's double-quoted ones.
  const yaml = (): string => (plain.length === 0 ? '[]\n' : plain.map((m) => Object.entries(m).map(([k, v], i) => `${i === 0 ? '- ' : '  '}${k}: ${JSON.stringify(v)}\n`).join('')).join(''))
  process.stdout.write(format === 'json' ? `${JSON.stringify(plain, null, '\t')}\n` : yaml())
}

function listing(): string {
  const rows = [['schema', 'what a cluster would refuse or warn of, object by object', 'IST0106 IST0130 IST0131 IST0133'], ...analyzers.map((a) => [a.name, a.description, a.codes.join(' ')])]
  return rows.map(([name, description, codes]) => `* ${name}:\n    ${description} (${codes?.split(' ').map((c) => `${c} ${messageKinds[c]?.name ?? ''}`).join(', ')})\n`).join('')
}
