// kith describe pod|service NAME[.NAMESPACE] (istioctl experimental describe): what bears on it, and why.
import { Command } from 'commander'
import { KithError } from '#lib/errors.ts'
import { nearest } from '#lib/nearest.ts'
import { findWorkload } from '#insight'
import { describePod, describeService } from '#insight/describe/describe-pod.ts'
import type { Mesh, MeshService } from '#mesh'
import { clusterOptions, type ClusterOptions } from '../cluster.ts'
import { loadMesh } from '../load-mesh.ts'
import { formatProblem } from '../problems.ts'

interface Options extends ClusterOptions {
  readonly filename: string[]
  readonly local?: boolean | string
  readonly namespace: string
}

const collect = (value: string, before: string[]): string[] => [...before, value]

function meshOptions(command: Command): Command {
  return clusterOptions(command)
    .option('-f, --filename <path>', 'file, folder or - (repeatable), instead of a cluster', collect, [])
    .option('--local [folder]', 'the mesh that runs on this machine')
    .option('-n, --namespace <name>', 'namespace', 'default')
}

export function build(): Command {
  const pod = meshOptions(new Command('pod').alias('po').argument('<pod>', 'name[.namespace] of a pod, or of the workload that made it'))
    .description('Ports, Services, DestinationRules, VirtualServices and the effective PeerAuthentication of a pod, with the reasons.')
    .option('--ignoreUnmeshed', 'accepted')
    .action((name: string, options: Options) => answer(options, (mesh) => describePod(mesh, findWorkload(mesh, name, options.namespace), options.namespace)))
  const service = meshOptions(new Command('service').alias('svc').argument('<service>', 'name[.namespace] of a Service'))
    .description('The same of a Service and the pods that answer for it.')
    .action((name: string, options: Options) => answer(options, (mesh) => describeService(mesh, findService(mesh, name, options.namespace), options.namespace)))
  return new Command('describe').description('What bears on a pod or a Service, and why.').addCommand(pod).addCommand(service).addHelpText('after', `
Examples:
  kith describe pod httpbin-6c4f9 -n foo
  kith x describe pod httpbin.foo -f examples/walkthrough/mesh.yaml
  kith describe service httpbin.foo`)
}

async function answer(options: Options, say: (mesh: Mesh) => string): Promise<void> {
  const { mesh, problems } = await loadMesh(options)
  for (const p of problems) process.stderr.write(formatProblem(p) + '\n')
  process.stdout.write(say(mesh))
}

function findService(mesh: Mesh, text: string, namespace: string): MeshService {
  const [name = '', own = namespace] = text.split('.', 2)
  const all = mesh.services.filter((s) => s.origin === 'kubernetes')
  const found = all.find((s) => s.name === name && s.namespace === own)
  if (found !== undefined) return found
  const near = nearest(`${name}.${own}`, all.map((s) => `${s.name}.${s.namespace}`))
  throw new KithError('NO_SUCH_SERVICE', `no Service "${name}" in namespace "${own}"${near === undefined ? '' : `; did you mean ${near}?`}`)
}
