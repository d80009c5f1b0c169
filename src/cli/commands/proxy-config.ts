// kith proxy-config cluster|listener|route|endpoint|secret|all POD: what a sidecar holds, in istioctl's tables.
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { clusterTable, endpointTable, listenerTable, resourcesOf, routeTable, secretTable, type Filter, type Table } from '#insight/proxy-config/tables.ts'
import { adminPages } from '../admin-page.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { attachLocal, isLocal, podNamed } from '../local-mesh.ts'
import { formatTable } from '../demo/table.ts'
import { ExitError } from '../failure.ts'
import { findClusterPod } from '../find-cluster-pod.ts'

interface Options extends ClusterOptions, Filter {
  readonly namespace: string
  readonly output: string
  readonly file?: string
  readonly local?: boolean | string
}

interface View {
  readonly name: string
  readonly aliases: readonly string[]
  readonly page: string
  readonly type: string
  table(page: unknown, filter: Filter): Table
}

const views: readonly View[] = [
  { name: 'cluster', aliases: ['clusters', 'c'], page: '/config_dump', type: 'Cluster', table: clusterTable },
  { name: 'listener', aliases: ['listeners', 'l'], page: '/config_dump', type: 'Listener', table: listenerTable },
  { name: 'route', aliases: ['routes', 'r'], page: '/config_dump', type: 'RouteConfiguration', table: routeTable },
  { name: 'endpoint', aliases: ['endpoints', 'ep'], page: '/clusters', type: '', table: endpointTable },
  { name: 'secret', aliases: ['secrets', 's'], page: '/certs', type: '', table: secretTable },
]
const adminPort = 15000

export function build(): Command {
  const command = new Command('proxy-config').description('What a sidecar holds: clusters, listeners, routes, endpoints, secrets.').addHelpText('after', `
Examples:
  kith proxy-config cluster sleep.foo --fqdn httpbin.foo.svc.cluster.local
  kith proxy-config route sleep-86b75d8749-jbr5k.foo --name 8000 -o json
  kith pc all deploy/sleep -n foo
  kith proxy-config listener sleep.foo --local`)
  for (const view of views) command.addCommand(options(new Command(view.name).aliases([...view.aliases])).description(`The ${view.name}s.`).action((pod: string | undefined, given: Options) => show(pod, given, [view])))
  return command.addCommand(options(new Command('all').alias('a')).description('All tables.').action((pod: string | undefined, given: Options) => show(pod, given, views)))
}

function options(command: Command): Command {
  return clusterOptions(command.argument('[pod]', '[kind/]name[.namespace]'))
    .option('-n, --namespace <name>', 'namespace of the pod', 'default').option('-o, --output <format>', 'short or json', 'short').option('-f, --file <file>', 'a page that was saved (/config_dump, /clusters, /certs), instead of a pod').option('--local [folder]', 'a pod of the mesh that runs on this machine')
    .option('--fqdn <name>', 'only this service').option('--port <number>', 'only this port').option('--direction <direction>', 'inbound or outbound').option('--subset <name>', 'only this subset').option('--name <name>', 'only this route configuration').option('--address <address>', 'only this listener address')
}

async function show(pod: string | undefined, given: Options, wanted: readonly View[]): Promise<void> {
  const pages = await read(pod, given, wanted)
  if (given.output === 'json') {
    const whole = wanted.map((view, i) => (view.type === '' ? pages[i] : resourcesOf(pages[i], view.type)))
    return void process.stdout.write(JSON.stringify(whole.length === 1 ? whole[0] : Object.fromEntries(wanted.map((v, i) => [v.name, whole[i]])), null, 2) + '\n')
  }
  const tables = wanted.map((view, i) => view.table(pages[i], given))
  process.stdout.write(tables.map(({ header, rows }) => formatTable(header, rows.map((row) => row.map((text) => ({ text }))), '') + '\n').join('\n'))
}

async function read(pod: string | undefined, given: Options, wanted: readonly View[]): Promise<readonly unknown[]> {
  if (given.file !== undefined) {
    const { file } = given
    try {
      const page = JSON.parse(readFileSync(file === '-' ? 0 : file, 'utf8')) as unknown
      return wanted.map(() => page)
    } catch (error) {
      throw new ExitError(1, `kith proxy-config: ${file} can't be read: ${(error as Error).message}`)
    }
  }
  if (pod === undefined) throw new ExitError(2, 'kith proxy-config: name a pod, or a saved page with -f')
  if (isLocal(given)) return readLocal(pod, given, wanted)
  const target = await withCluster(given, (client) => findClusterPod(client, pod, given.namespace))
  return adminPages({ ...target, port: adminPort }, wanted.map((v) => v.page), given)
}

async function readLocal(pod: string, given: Options, wanted: readonly View[]): Promise<readonly unknown[]> {
  const mesh = await attachLocal(given)
  return Promise.all(wanted.map((view) => mesh.sidecarPage(podNamed(pod, given.namespace), view.page)))
}
