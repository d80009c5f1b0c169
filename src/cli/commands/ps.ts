// kith ps: the pods of the mesh on this machine, as `kubectl get pods` shows them.
import { Command, Option } from 'commander'
import { attachFound, type PodView } from '#local'

interface Options {
  readonly namespace?: string
  readonly allNamespaces?: true
  readonly output?: 'wide' | 'json'
  readonly dir?: string
}

export function build(): Command {
  return new Command('ps')
    .summary('the pods of the mesh on this machine')
    .description('Lists pods as kubectl does; READY 2/2 is an application and its sidecar.')
    .option('-n, --namespace <name>', 'pods of this namespace')
    .option('-A, --all-namespaces', 'pods of all namespaces (the default)')
    .addOption(new Option('-o, --output <format>', 'wide or json').choices(['wide', 'json']))
    .option('--dir <folder>', 'the mesh of this folder, where several run')
    .addHelpText('after', '\nExamples:\n  kith ps -n foo -o wide\n  kith ps -o json')
    .action(async (options: Options) => {
      const pods = (await (await attachFound(options.dir)).ps()).filter((p) => options.namespace === undefined || options.allNamespaces === true || p.namespace === options.namespace)
      process.stdout.write(options.output === 'json' ? JSON.stringify(pods, null, 2) + '\n' : formatPods(pods, options))
    })
}

/** kubectl's columns; NAMESPACE is left out where one was asked for. */
export function formatPods(pods: readonly PodView[], options: Pick<Options, 'namespace' | 'allNamespaces' | 'output'>, nowMs = Date.now()): string {
  if (pods.length === 0) return options.namespace === undefined ? 'No resources found\n' : `No resources found in ${options.namespace} namespace.\n`
  const namespaces = options.namespace === undefined || options.allNamespaces === true
  const wide = options.output === 'wide'
  const header = [...(namespaces ? ['NAMESPACE'] : []), 'NAME', 'READY', 'STATUS', 'RESTARTS', 'AGE', ...(wide ? ['IP', 'NODE', 'SERVICE ACCOUNT'] : [])]
  const rows = pods.map((p) => [
    ...(namespaces ? [p.namespace] : []), p.name, `${p.containers.filter((c) => c.ready).length}/${p.containers.length}`, p.status, String(p.restarts), age(nowMs - Date.parse(p.createdAt)), ...(wide ? [p.ip, p.node, p.serviceAccount] : []),
  ])
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] as string).length)))
  return [header, ...rows].map((r) => r.map((cell, i) => cell.padEnd((widths[i] as number) + 3)).join('').trimEnd() + '\n').join('')
}

/** `5s`, `3m20s`, `2h`, `4d`, as kubectl rounds them. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000))
  if (s < 120) return `${s}s`
  if (s < 600) return `${Math.floor(s / 60)}m${s % 60 === 0 ? '' : `${s % 60}s`}`
  if (s < 7200) return `${Math.floor(s / 60)}m`
  if (s < 172_800) return `${Math.floor(s / 3600)}h`
  return `${Math.floor(s / 86_400)}d`
}
