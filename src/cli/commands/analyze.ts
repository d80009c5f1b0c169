// kith analyze [FILE…]: istioctl analyze, over files. Exit codes: 79 a message at or above --failure-threshold, 65 something could not be read, 64 wrong usage.
import { Command } from 'commander'
import { decodeMeshConfig } from '#api'
import { analyze } from '#insight/analyze/analyze.ts'
import { analyzers } from '#insight/analyze/analyzers.ts'
import { documentationUrl, messageKinds } from '#insight/analyze/messages.ts'
import type { Problem } from '#lib/problem.ts'
import { readFiles } from '#sources'
import { ExitError } from '../failure.ts'
import { messageText, originText, referenceText } from '../message-text.ts'

const levels = ['Error', 'Warning', 'Info'] as const
type Level = (typeof levels)[number]
const levelOf = (p: Problem): Level => (p.severity === 'error' ? 'Error' : p.severity === 'warning' ? 'Warning' : 'Info')

interface Options {
  readonly output: string
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
}

const several = (value: string, all: readonly string[]): readonly string[] => [...all, value]

export function build(): Command {
  return new Command('analyze')
    .summary('what is wrong with these files, as a mesh')
    .description('Reads Istio’s and Kubernetes’ objects from files as if they were a cluster’s, and says what is wrong with them.')
    .argument('[files...]', 'files and folders; - is standard input')
    .option('-o, --output <format>', 'log, json or yaml', 'log')
    .option('-A, --all-namespaces', 'messages of all namespaces (the default)')
    .option('-n, --namespace <name>', 'messages of this namespace only')
    .option('-f, --filename <path>', 'file or folder, as the arguments; repeatable', several, [])
    .option('-S, --suppress <code=origin>', 'leave out messages: "IST0102=Namespace default", * stands for anything; repeatable', several, [])
    .option('--failure-threshold <level>', 'exit 79 from this level on: Info, Warning, Error', 'Error')
    .option('--output-threshold <level>', 'print from this level on', 'Info')
    .option('--meshConfigFile, --mesh-config-file <file>', 'MeshConfig of the mesh')
    .option('--ignore-unknown', 'documents that can’t be read are no failure')
    .option('-L, --list-analyzers', 'list the analyzers')
    .option('--analyzer <name>', 'run this one only; repeatable', several, [])
    .option('-R, --recursive', 'folders below too (always so)')
    .option('-k, --use-kube [yes]', 'read a cluster as well')
    .option('--color [yes]', 'accepted')
    .option('-v, --verbose', 'accepted')
    .option('--timeout <duration>', 'accepted')
    .option('-i, --istioNamespace <namespace>', 'accepted')
    .option('--revision <name>', 'accepted')
    .action(run)
}

function run(files: readonly string[], options: Options): void {
  if (options.listAnalyzers === true) return void process.stdout.write(listing())
  const [failure, output] = [threshold(options.failureThreshold), threshold(options.outputThreshold)]
  if (!['log', 'json', 'yaml'].includes(options.output)) throw new ExitError(64, `${options.output} is no output format: log, json or yaml`)
  const unknown = options.analyzer.filter((name) => !analyzers.some((a) => a.name === name) && name !== 'schema')
  if (unknown.length > 0) throw new ExitError(64, `there is no analyzer ${unknown.join(', ')}; kith analyze -L lists them`)
  if (options.useKube === true || options.useKube === 'true') throw new ExitError(64, 'kith reads files here; a cluster is not read yet: leave --use-kube out')
  const paths = [...files, ...options.filename]
  if (paths.length === 0) throw new ExitError(64, 'name the files or folders to analyze: kith analyze .')
  const input = readFiles(paths)
  const config = meshConfig(options.meshConfigFile)
  const { messages, unreadable } = analyze(input.documents, { meshConfig: config.config, only: options.analyzer })
  const broken = [...input.problems, ...unreadable]
  const all = [...config.problems, ...messages].filter((p) => !suppressed(p, options.suppress) && within(p, options))
  const shown = all.filter((p) => levels.indexOf(levelOf(p)) <= output)
  print([...broken, ...shown], options.output)
  if (options.output === 'log' && broken.length + shown.length === 0) process.stderr.write(`✔ No validation issues found when analyzing ${paths.join(', ')}.\n`)
  if (all.some((p) => levels.indexOf(levelOf(p)) <= failure)) {
    if (options.output === 'log') process.stderr.write(`Error: Analyzers found issues when analyzing ${paths.join(', ')}.\nSee https://istio.io/v1.31/docs/reference/config/analysis for more information about causes and resolutions.\n`)
    process.exitCode = 79
  } else if (broken.length > 0 && options.ignoreUnknown !== true) process.exitCode = 65
}

function threshold(text: string): number {
  const index = levels.findIndex((l) => l.toLowerCase() === text.toLowerCase())
  if (index === -1) throw new ExitError(64, `${text} is no level: Info, Warning or Error`)
  return index
}

function meshConfig(file: string | undefined): ReturnType<typeof decodeMeshConfig> {
  if (file === undefined) return { config: {}, problems: [] }
  const read = readFiles([file])
  if (read.problems[0] !== undefined) throw new ExitError(1, read.problems[0].message)
  const document = read.documents[0]
  return document === undefined ? { config: {}, problems: [] } : decodeMeshConfig(document.value, document.origin)
}

/** Objects without a namespace concern everybody. */
function within(p: Problem, options: Options): boolean {
  return options.namespace === undefined || options.allNamespaces === true || p.ref.namespace === '' || p.ref.namespace === options.namespace
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

function print(problems: readonly Problem[], format: string): void {
  if (format === 'log') return void process.stdout.write(problems.map((p) => `${messageText(p, levelOf(p))}\n`).join(''))
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
