// kith kube-inject -f FILE: the same YAML with sidecars; what isn't injected stays as it was, byte for byte.
import { readFileSync, writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { parse, stringify } from 'yaml'
import { createInjector, injectObject, type Injector } from '#inject'
import { isRecord } from '#api'
import type { ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { kubectlScalars } from '../kubectl-scalars.ts'
import { joinDocuments, parseParts, splitDocuments, writeBack } from '../yaml-documents.ts'

interface Options extends ClusterOptions {
  readonly filename?: string
  readonly output?: string
  readonly injectConfigFile?: string
  readonly meshConfigFile?: string
  readonly valuesFile?: string
  readonly injectConfigMapName?: string
  readonly meshConfigMapName?: string
  readonly istioNamespace: string
  readonly revision: string
}

export function build(): Command {
  return new Command('kube-inject')
    .summary('adds the sidecar to the workloads of a file')
    .description('Adds the sidecar to the workloads of a Kubernetes file and prints the result. Everything else stays byte for byte as it was.')
    .option('-f, --filename <file>', 'input file, - for standard input')
    .option('-o, --output <file>', 'output file; default: standard output')
    .option('--injectConfigFile <file>', 'injection configuration')
    .option('--meshConfigFile <file>', 'mesh configuration')
    .option('--valuesFile <file>', 'injection values (JSON or YAML)')
    .option('-c, --kubeconfig <file>', 'go by what the injector of this cluster goes by; without it no cluster is asked')
    .option('--context <name>', 'the same, by a context of the kubeconfig')
    .option('--injectConfigMapName <name>', 'of the cluster: where its injection configuration and values are (istio-sidecar-injector)')
    .option('--meshConfigMapName <name>', 'of the cluster: where its mesh configuration is (istio)')
    .option('-i, --istioNamespace <name>', 'of the cluster: namespace of its control plane', 'istio-system')
    .option('--webhookConfig <name>', 'accepted, not used')
    .option('--operatorFileName <file>', 'accepted, not used')
    .option('-n, --namespace <name>', 'accepted, not used')
    .option('-r, --revision <name>', 'control plane revision', 'default')
    .addHelpText('after', `
Examples:
  kith kube-inject -f deployment.yaml | kubectl apply -f -
  kith kube-inject -f deployment.yaml --context prod -r canary
  cat deployment.yaml | kith kube-inject -f - -o injected.yaml`)
    .action(async (options: Options) => {
      if (options.filename === undefined) throw new ExitError(2, 'kith kube-inject: filename not specified (see --filename or -f)')
      const text = readInput(options.filename)
      const { output, warnings } = injectText(text, options.filename, await injectorFor(options))
      for (const w of warnings) process.stderr.write(w + '\n')
      if (options.output === undefined) process.stdout.write(output)
      else writeFileSync(options.output, output)
    })
}

/** Nothing is printed where any document is faulty: half a file must not reach kubectl. */
export function injectText(text: string, file: string, context: Injector): { output: string; warnings: string[] } {
  const parts = splitDocuments(text)
  const warnings: string[] = []
  const faults: string[] = []
  const out = parts.map((part) => {
    const parsed = parseParts(part)
    if (parsed.errors.length > 0) {
      faults.push(...parsed.errors.map((e) => `${file}:${part.line + e.line - 1}: ${e.message}`))
      return part.text
    }
    if (!isRecord(parsed.value)) {
      if (parsed.value !== null && parsed.value !== undefined) faults.push(`${file}:${part.line}: a document must be an object with apiVersion and kind, not ${Array.isArray(parsed.value) ? 'a list' : JSON.stringify(parsed.value)}`)
      return part.text
    }
    const result = injectObject(parsed.value, context)
    if (result.kind === 'faulty') {
      faults.push(...result.faults.map((f) => `${file}:${part.line}: ${f}`))
      return part.text
    }
    warnings.push(...result.warnings)
    return result.kind === 'untouched' ? part.text : writeBack(part, parsed.document, result.object)
  })
  if (faults.length > 0) throw new ExitError(1, faults.map((f) => `Error: ${f}`).join('\n'))
  return { output: joinDocuments(out), warnings }
}

function readInput(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (error) {
    throw new ExitError(1, `Error: ${file} can't be read: ${(error as Error).message}`)
  }
}

/** By files and defaults, unless a cluster is named: where KUBECONFIG happens to point shall not change what comes out. */
async function injectorFor(options: Options): Promise<Injector> {
  const { injectConfigFile, valuesFile, meshConfigFile, kubeconfig, context, injectConfigMapName, meshConfigMapName } = options
  const named = [kubeconfig, context, injectConfigMapName, meshConfigMapName].some((o) => o !== undefined)
  if (!named) return injectorOf(options)
  if ([injectConfigFile, valuesFile, meshConfigFile].some((o) => o !== undefined)) throw new ExitError(2, 'kith kube-inject: either files (--injectConfigFile, --valuesFile, --meshConfigFile) or a cluster, not both')
  const [{ withCluster }, { clusterInjector }] = await Promise.all([import('../cluster.ts'), import('../cluster-injector.ts')])
  return sound(await withCluster(options, (client) => clusterInjector(client, options)), 'the cluster’s configuration')
}

function sound(injector: Injector & { readonly faults: readonly string[] }, from: string): Injector {
  if (injector.faults.length > 0) throw new ExitError(1, injector.faults.map((f) => `Error: ${from}: ${f}`).join('\n'))
  return injector
}

function injectorOf(options: Options): Injector {
  const read = (file: string | undefined): unknown => (file === undefined ? {} : yaml.parse(readInput(file)))
  return sound(createInjector({ config: configOf(options.injectConfigFile), values: read(options.valuesFile), meshConfig: read(options.meshConfigFile), revision: options.revision, yaml }), options.injectConfigFile ?? '')
}

const yaml = { parse: (text: string): unknown => parse(text, kubectlScalars) as unknown, print: (value: unknown): string => stringify(value, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false }) }

/** A whole injection configuration, or nothing but the template that takes the sidecar's place: that need not be YAML before it is rendered. */
function configOf(file: string | undefined): unknown {
  if (file === undefined) return {}
  const text = readInput(file)
  if (/^["']?(policy|templates|defaultTemplates|aliases|neverInjectSelector|alwaysInjectSelector|injectedAnnotations)["']?:/m.test(text) || text.trimStart().startsWith('{"')) return yaml.parse(text)
  return text.trim() === '' ? {} : { templates: { sidecar: text } }
}
