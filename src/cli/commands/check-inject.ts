// kith check-inject: which pods get a sidecar, and why or why not.
import { Command } from 'commander'
import { formatRef, type Problem } from '#lib/problem.ts'
import { rules } from '#api'
import { buildMesh, type Workload } from '#mesh'
import { injectionAskedElsewhere } from '#insight/injection/asked-elsewhere.ts'
import { jobsThatWait } from '#insight/injection/jobs.ts'
import { clusterOptions, namesCluster, withCluster, type ClusterOptions } from '../cluster.ts'
import { loadMesh } from '../load-mesh.ts'
import { formatProblem } from '../problems.ts'
import { formatTable } from '../demo/table.ts'
import { ExitError } from '../failure.ts'

interface Options extends ClusterOptions {
  readonly filename: string[]
  readonly local?: boolean | string
  readonly namespace?: string
  readonly labels?: string
}

const collect = (value: string, before: string[]): string[] => [...before, value]

export function build(): Command {
  return clusterOptions(new Command('check-inject'))
    .summary('which pods get a sidecar, and why or why not')
    .description('Says for each workload whether the webhook injects it, and which label, annotation or rule decides. For one pod or workload of a cluster, what each of the cluster’s webhooks does with it.')
    .argument('[name]', 'a workload or pod: name, pod/name, deployment/name, name.namespace; default: all')
    .option('-f, --filename <path>', 'file, folder or - (repeatable)', collect, [])
    .option('--local [folder]', 'the mesh that runs on this machine')
    .option('-n, --namespace <name>', 'only this namespace')
    .option('-l, --labels <labels>', 'of a cluster: labels of a pod, key=value,…')
    .addHelpText('after', `
Examples:
  kith check-inject -f examples/walkthrough/mesh.yaml
  kith check-inject -n foo deployment/httpbin
  kith check-inject -n foo -l app=httpbin`)
    .action(async (name: string | undefined, options: Options) => {
      const ofCluster = options.filename.length === 0 && options.local === undefined && process.env['KITH_DIR'] === undefined && namesCluster(options)
      if (ofCluster && (name !== undefined || options.labels !== undefined)) return checkInCluster(name, options)
      if (options.labels !== undefined) throw new ExitError(2, 'kith check-inject: -l asks a cluster, and there is none')
      const { mesh, objects, problems } = await loadMesh({ ...options, written: true, templates: true })
      for (const p of problems) process.stderr.write(formatProblem(p) + '\n')
      const asked = name?.includes('/') === true ? name.slice(name.indexOf('/') + 1) : name
      const found = mesh.workloads.filter((w) => (options.namespace === undefined || w.namespace === options.namespace) && (asked === undefined || w.name === asked || w.pod === asked || `${w.name}.${w.namespace}` === asked))
      if (found.length === 0) throw new ExitError(1, name === undefined ? 'kith check-inject: no workloads there' : `kith check-inject: no workload "${name}" there`)
      const rows = found.map((w) => [{ text: `${w.namespace}/${w.name}` }, { text: w.sidecar.value ? '✔' : '✘', style: w.sidecar.value ? ('green' as const) : ('red' as const) }, { text: reasonOf(w) }])
      process.stdout.write(formatTable(['WORKLOAD', 'INJECTED', 'REASON'], rows, '') + '\n')
      process.stdout.write(notes([...injectionAskedElsewhere(objects), ...jobsThatWait(objects, found)].filter(({ ref }) => concerns(found, ref))))
    })
}

/** Of a workload, its pods and its namespace. */
function concerns(workloads: readonly Workload[], { kind, namespace, name }: Problem['ref']): boolean {
  return workloads.some((w) => (kind === 'Namespace' ? w.namespace === name : w.namespace === namespace && (kind === 'Pod' ? w.pod === name : w.name === name)))
}

/** Where injection was asked for in vain, and where that belongs. */
function notes(problems: readonly Problem[]): string {
  return problems.map((p) => `note: ${formatRef(p.ref)}: ${p.message}; ${p.help ?? ''}\n`).join('')
}

async function checkInCluster(name: string | undefined, options: Options): Promise<void> {
  const { webhooksOf } = await import('../check-inject-cluster.ts')
  const { checks, objects } = await withCluster(options, (client) => webhooksOf(client, name, options))
  if (checks.length === 0) throw new ExitError(1, 'kith check-inject: this cluster has no injection webhook; kith install brings one')
  const rows = checks.map((c) => [{ text: c.webhook }, { text: c.revision }, { text: c.injected ? '✔' : '✘', style: c.injected ? ('green' as const) : ('red' as const) }, { text: c.reason }])
  process.stdout.write(formatTable(['WEBHOOK', 'REVISION', 'INJECTED', 'REASON'], rows, '') + '\n')
  process.stdout.write(notes([...injectionAskedElsewhere(objects), ...jobsThatWait(objects, buildMesh(objects).workloads)]))
  const several = checks.filter((c) => c.injected)
  if (several.length > 1) process.stderr.write(`warning: ${several.length} webhooks inject this pod, the last one called wins: ${several.map((c) => c.webhook).join(', ')}\n`)
}

function reasonOf(w: Workload): string {
  const winner = w.sidecar.because[0]
  if (winner === undefined) return ''
  const sentence = rules[winner.rule]?.sentence ?? winner.rule
  return winner.source === 'default' ? sentence : `${sentence}: ${formatRef(winner.source)}`
}
