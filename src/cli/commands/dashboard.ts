// kith dashboard istiod-debug | proxy POD | …: leads a port of this machine to a page inside the cluster, prints its address, and stays until Ctrl-C.
import { spawn } from 'node:child_process'
import { Command } from 'commander'
import { KithError } from '#lib/errors.ts'
import { forwardPort } from '#lib/kubernetes/port-forward.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import { clusterOptions, withCluster, type ClusterOptions } from '../cluster.ts'
import { ExitError } from '../failure.ts'
import { findClusterPod } from '../find-cluster-pod.ts'

interface Options extends ClusterOptions {
  readonly address: string
  readonly port?: string
  readonly browser: string | boolean
  readonly namespace: string
  readonly istioNamespace: string
}

interface Page { readonly name: string; readonly aliases?: readonly string[]; readonly about: string; readonly port: number; readonly path: string; /** Of the pods behind it; absent: the pod is an argument. */ readonly labelSelector?: string }

const pages: readonly Page[] = [
  { name: 'istiod-debug', about: 'who is connected to the control plane, and whether they are up to date', port: 15014, path: '/debug/syncz', labelSelector: 'app=istiod' },
  { name: 'proxy', aliases: ['envoy'], about: 'the admin page of a sidecar', port: 15000, path: '/' },
  { name: 'prometheus', about: 'Prometheus of the mesh', port: 9090, path: '/', labelSelector: 'app.kubernetes.io/name=prometheus' },
  { name: 'grafana', about: 'Grafana of the mesh', port: 3000, path: '/', labelSelector: 'app.kubernetes.io/name=grafana' },
  { name: 'kiali', about: 'Kiali of the mesh', port: 20001, path: '/', labelSelector: 'app=kiali' },
  { name: 'jaeger', about: 'Jaeger of the mesh', port: 16686, path: '/', labelSelector: 'app=jaeger' },
  { name: 'zipkin', about: 'Zipkin of the mesh', port: 9411, path: '/', labelSelector: 'app=zipkin' },
]

export function build(): Command {
  const command = new Command('dashboard').description('Leads a port of this machine to a page inside the cluster, until Ctrl-C.').addHelpText('after', `
Examples:
  kith dashboard istiod-debug
  kith dashboard proxy httpbin-6c4f9.foo --port 15000 --browser=false`)
  for (const page of pages) {
    const own = clusterOptions(new Command(page.name).aliases(page.aliases ?? []).description(page.about))
      .option('--address <address>', 'where to listen', 'localhost').option('-p, --port <number>', 'the port here; default: that of the page where it is free').option('--browser [yes]', 'open it in a browser, on a terminal', 'true')
      .option('-n, --namespace <name>', 'namespace of the pod', 'default').option('-i, --istioNamespace <namespace>', 'namespace of the control plane', 'istio-system')
    if (page.labelSelector === undefined) command.addCommand(own.argument('<pod>', '[kind/]name[.namespace]').action((pod: string, options: Options) => show(page, options, pod)))
    else command.addCommand(own.action((options: Options) => show(page, options)))
  }
  return command
}

async function show(page: Page, options: Options, given?: string): Promise<void> {
  const target = await withCluster(options, (client) => (given === undefined ? podOf(client, page, options.istioNamespace) : findClusterPod(client, given, options.namespace)))
  const address = options.address === 'localhost' ? '127.0.0.1' : options.address
  if (options.port !== undefined && !/^\d{1,5}$/.test(options.port)) throw new ExitError(2, `kith dashboard: --port takes a number, not ${options.port}`)
  const open = (localPort: number) => forwardPort({ ...target, port: page.port }, {
    ...(options.kubeconfig === undefined ? {} : { kubeconfig: options.kubeconfig }), ...(options.context === undefined ? {} : { context: options.context }), address, localPort, onFailure: (message) => process.stderr.write(`kith dashboard: ${message}\n`),
  })
  const forward = await (options.port === undefined ? open(page.port).catch(() => open(0)) : open(Number(options.port)))
  const url = `http://${options.address.includes(':') ? `[${options.address}]` : options.address}:${forward.port}${page.path}`
  process.stdout.write(`${url}\n`)
  if ((options.browser === true || options.browser === 'true') && process.stdout.isTTY === true) openBrowser(url)
  await new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve)
  })
  forward.close()
}

async function podOf(client: KubernetesClient, page: Page, namespace: string): Promise<{ namespace: string; pod: string }> {
  const { items } = await client.list({ apiVersion: 'v1', kind: 'Pod', namespace, fieldSelector: 'status.phase=Running', ...(page.labelSelector === undefined ? {} : { labelSelector: page.labelSelector }) })
  const pod = items.find((p) => p.metadata.deletionTimestamp === undefined)?.metadata.name
  if (pod === undefined) throw new KithError('NO_SUCH_WORKLOAD', `no running ${page.name} pod (${page.labelSelector}) in namespace ${namespace}`)
  return { namespace, pod }
}

function openBrowser(url: string): void {
  const program = process.platform === 'darwin' ? 'open' : 'xdg-open'
  spawn(program, [url], { stdio: 'ignore', detached: true }).on('error', () => undefined).unref()
}
