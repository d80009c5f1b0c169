// How commands reach the cluster of the kubeconfig: istioctl's options, and failures that an operator can act on.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'

export interface ClusterOptions {
  readonly kubeconfig?: string
  readonly context?: string
}

export function clusterOptions(command: Command): Command {
  return command.option('-c, --kubeconfig <file>', 'kubeconfig file ($KUBECONFIG, else ~/.kube/config)').option('--context <name>', 'context of the kubeconfig')
}

/** Whether there is a cluster to ask, as far as that can be known without asking. */
export function namesCluster({ kubeconfig, context }: ClusterOptions): boolean {
  return kubeconfig !== undefined || context !== undefined || (process.env['KUBECONFIG'] ?? '') !== '' || existsSync(join(homedir(), '.kube', 'config')) || process.env['KUBERNETES_SERVICE_HOST'] !== undefined
}

/** Runs `use` and closes the client, whatever happens. */
export async function withCluster<T>({ kubeconfig, context }: ClusterOptions, use: (client: KubernetesClient) => Promise<T>): Promise<T> {
  // Loaded only here: HTTP and TLS are a tenth of the start of a command that reads files.
  const { kubernetesClient } = await import('#lib/kubernetes/client.ts')
  const client = await kubernetesClient({ ...(kubeconfig === undefined ? {} : { kubeconfig }), ...(context === undefined ? {} : { context }) })
  try {
    return await use(client)
  } catch (error) {
    throw advised(error)
  } finally {
    client.close()
  }
}

function advised(error: unknown): unknown {
  if (!(error instanceof KithError)) return error
  const advice = advices[error.code]
  return advice === undefined ? error : new KithError(error.code, `${error.message}\n${advice}`, { cause: error })
}

const advices: Readonly<Record<string, string>> = {
  K8S_UNREACHABLE: 'Is the cluster up, and is this the right context? kubectl config current-context shows it; --context and --kubeconfig choose another.',
  K8S_UNAUTHORIZED: 'The cluster does not know these credentials: they may have expired. Log in again, or choose another context with --context.',
  K8S_FORBIDDEN: 'Whoever you are in this context may not do that; kubectl auth can-i --list shows what you may.',
}
