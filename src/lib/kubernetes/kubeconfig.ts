// Where the API server is and how to speak to it: from kubeconfig files as kubectl reads them, or from inside a pod.
// Law: the first file that names a cluster, a user or a context has it; paths in a file are relative to that file.
import { load } from 'js-yaml'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { KithError } from '#lib/errors.ts'

export interface ClusterEntry {
  readonly server: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
  readonly 'tls-server-name'?: string
  readonly 'proxy-url'?: string
}

export interface ExecEntry {
  readonly apiVersion?: string
  readonly command: string
  readonly args?: readonly string[] | null
  readonly env?: readonly { readonly name: string; readonly value: string }[] | null
  readonly installHint?: string
  readonly provideClusterInfo?: boolean
  readonly interactiveMode?: string
}

export interface UserEntry {
  readonly token?: string
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly as?: string
  readonly 'as-groups'?: readonly string[]
  readonly exec?: ExecEntry
  readonly 'auth-provider'?: { readonly name: string; readonly config?: Readonly<Record<string, string>> }
}

/** All that a connection needs; relative paths are resolved. */
export interface ClusterAccess {
  readonly server: string
  readonly namespace: string
  readonly cluster: ClusterEntry
  readonly user: UserEntry
}

interface ConfigFile {
  readonly 'current-context'?: string
  readonly clusters?: readonly { readonly name: string; readonly cluster: ClusterEntry }[] | null
  readonly users?: readonly { readonly name: string; readonly user: UserEntry | null }[] | null
  readonly contexts?: readonly { readonly name: string; readonly context: { readonly cluster: string; readonly user?: string; readonly namespace?: string } }[] | null
}

export interface AccessOptions {
  readonly kubeconfig?: string
  readonly context?: string
  /** Default: where neither a file nor KUBECONFIG is there, and the pod's account is. */
  readonly inCluster?: boolean
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/** Throws KUBECONFIG_MISSING or KUBECONFIG_INVALID, with the file. */
export function clusterAccess(options: AccessOptions = {}, env: NodeJS.ProcessEnv = process.env): ClusterAccess {
  const files = kubeconfigFiles(options.kubeconfig, env)
  const useAccount = options.inCluster ?? (options.kubeconfig === undefined && !files.some((f) => existsSync(f)) && env['KUBERNETES_SERVICE_HOST'] !== undefined && existsSync(join(accountFolder, 'token')))
  return useAccount ? accountAccess(env) : fileAccess(files, options)
}

function kubeconfigFiles(given: string | undefined, env: NodeJS.ProcessEnv): readonly string[] {
  if (given !== undefined) return [given]
  const named = (env['KUBECONFIG'] ?? '').split(delimiter).filter((f) => f !== '')
  return named.length > 0 ? named : [join(homedir(), '.kube', 'config')]
}

function accountAccess(env: NodeJS.ProcessEnv): ClusterAccess {
  const host = env['KUBERNETES_SERVICE_HOST']
  if (host === undefined) throw new KithError('KUBECONFIG_MISSING', 'this is no pod: KUBERNETES_SERVICE_HOST is not set')
  const namespaceFile = join(accountFolder, 'namespace')
  return {
    server: `https://${host.includes(':') ? `[${host}]` : host}:${env['KUBERNETES_SERVICE_PORT'] ?? '443'}`,
    namespace: env['POD_NAMESPACE'] ?? (existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : 'default'),
    cluster: { server: '', 'certificate-authority': join(accountFolder, 'ca.crt') }, user: { tokenFile: join(accountFolder, 'token') },
  }
}

function fileAccess(files: readonly string[], options: AccessOptions): ClusterAccess {
  const there = files.filter((f) => existsSync(f))
  if (there.length === 0) throw new KithError('KUBECONFIG_MISSING', `no kubeconfig: ${files.join(', ')} ${files.length === 1 ? 'is' : 'are'} not there; name one with --kubeconfig or KUBECONFIG`)
  const read = there.map((file) => ({ file, config: readConfig(file) }))
  const find = <T>(pick: (c: ConfigFile) => T | undefined): { value: T; folder: string } | undefined => {
    for (const { file, config } of read) {
      const value = pick(config)
      if (value !== undefined && value !== null && value !== '') return { value, folder: dirname(resolve(file)) }
    }
    return undefined
  }
  const where = there.join(', ')
  const wrong = (what: string): KithError => new KithError('KUBECONFIG_INVALID', `${where}: ${what}`)
  const contextName = options.context ?? find((c) => c['current-context'])?.value
  if (contextName === undefined) throw wrong('no current-context is set')
  const context = find((c) => c.contexts?.find((x) => x.name === contextName)?.context)?.value
  if (context === undefined) throw wrong(`there is no context ${contextName}`)
  const cluster = find((c) => c.clusters?.find((x) => x.name === context.cluster)?.cluster)
  if (cluster === undefined || typeof cluster.value.server !== 'string') throw wrong(`the context ${contextName} names the cluster ${context.cluster}, which has no server here`)
  const user = context.user === undefined || context.user === '' ? { value: {}, folder: '' } : find((c) => c.users?.find((x) => x.name === context.user)?.user ?? undefined)
  if (user === undefined) throw wrong(`the context ${contextName} names the user ${context.user}, who is not here`)
  return {
    server: cluster.value.server.replace(/\/+$/, ''), namespace: context.namespace ?? 'default',
    cluster: withPaths(cluster.value, cluster.folder, ['certificate-authority']),
    user: withPaths(user.value, user.folder, ['client-certificate', 'client-key', 'tokenFile']),
  }
}

function readConfig(file: string): ConfigFile {
  try {
    const value = load(readFileSync(file, 'utf8')) as ConfigFile | null | undefined
    if (value === undefined || value === null) return {}
    if (typeof value !== 'object' || Array.isArray(value)) throw new Error('it is no object')
    return value
  } catch (cause) {
    throw new KithError('KUBECONFIG_INVALID', `${file} can't be read: ${(cause as Error).message.split('\n')[0]}`, { cause })
  }
}

function withPaths<T extends object>(entry: T, folder: string, fields: readonly string[]): T {
  const of = entry as Record<string, unknown>
  return { ...entry, ...Object.fromEntries(fields.flatMap((f) => (typeof of[f] === 'string' && of[f] !== '' ? [[f, resolve(folder, of[f])]] : []))) }
}
