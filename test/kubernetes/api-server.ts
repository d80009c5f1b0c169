// An API server small enough to read: objects in memory, lists in pages, watches with history, 409, 410, server-side apply, TokenReview by table.
// It may be told to lose its clients, forget its history, refuse a kind. What a real one does beyond that is tested on a real one (test/cluster).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { clientOver } from '#lib/kubernetes/client.ts'
import { transport } from '#lib/kubernetes/http.ts'
import { knownResource } from '#lib/kubernetes/kinds.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'

interface Stored {
  readonly collection: string
  readonly object: KubernetesObject
}
interface Event {
  readonly version: number
  readonly collection: string
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly object: KubernetesObject
}
interface Watch {
  readonly collection: string
  readonly matches: (o: KubernetesObject) => boolean
  readonly response: ServerResponse
}

export class ApiServer {
  readonly #objects = new Map<string, Stored>()
  readonly #watches = new Set<Watch>()
  readonly #sockets = new Set<Socket>()
  readonly #server: Server
  #events: Event[] = []
  #version = 1
  #oldest = 1
  port = 0
  /** Plurals → status that their reading and writing is answered with. */
  readonly refused = new Map<string, number>()
  /** Of its version: 1.x. */
  minor = '34'
  /** Everything is answered with it. */
  broken: number | undefined
  /** token → TokenReview status. */
  readonly tokens = new Map<string, object>()
  /** Answers in the API server's place, as a proxy before it would; true: it has answered. */
  instead: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined
  /** What SelfSubjectAccessReviews are answered with. */
  allowed = true
  readonly requests: string[] = []

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response).catch((e: unknown) => fail(response, 500, String(e))))
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }
  static async start(port = 0): Promise<ApiServer> {
    const api = new ApiServer()
    await api.listen(port)
    return api
  }
  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => this.#server.once('error', reject).listen(port, '127.0.0.1', resolve))
    this.port = (this.#server.address() as { port: number }).port
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }
  get kubeconfig(): string {
    return JSON.stringify({ 'current-context': 'c', contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }], clusters: [{ name: 'c', cluster: { server: this.url } }], users: [{ name: 'u', user: { token: 't' } }] })
  }
  /** Watches of a plural that are open. */
  watching(plural: string): number {
    return [...this.#watches].filter((w) => w.collection.endsWith(`/${plural}`)).length
  }
  cut(): void {
    for (const s of this.#sockets) s.destroy()
  }
  /** Not there any more, its objects kept. */
  async down(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.cut()
    await closed
  }
  /** Watches from before get 410. */
  forget(): void {
    this.#events = []
    this.#oldest = this.#version
  }
  bookmark(): void {
    for (const w of this.#watches) w.response.write(JSON.stringify({ type: 'BOOKMARK', object: { ...typeOf(w.collection), metadata: { resourceVersion: String(this.#version) } } }) + '\n')
  }
  /** `path`: `/api/v1/namespaces/foo/pods`; keeps its uid, gets a new version. */
  put(path: string, object: Partial<KubernetesObject> & { readonly metadata: KubernetesObject['metadata'] }): KubernetesObject {
    const { collection, namespace } = split(path)
    const key = keyOf(collection, namespace, object.metadata.name ?? '')
    const before = this.#objects.get(key)?.object
    const specChanged = JSON.stringify(before?.['spec']) !== JSON.stringify(object['spec'])
    const stored = {
      ...object, ...typeOf(collection),
      metadata: {
        creationTimestamp: '2026-01-01T00:00:00Z', ...object.metadata, ...(namespace === '' ? {} : { namespace }), uid: before?.metadata.uid ?? `uid-${this.#version}`, resourceVersion: String(++this.#version), generation: (before?.metadata.generation ?? 0) + (specChanged || before === undefined ? 1 : 0),
      },
    } as KubernetesObject
    this.#objects.set(key, { collection, object: stored })
    this.#tell({ version: this.#version, collection, type: before === undefined ? 'ADDED' : 'MODIFIED', object: stored })
    return stored
  }
  remove(path: string, name: string): boolean {
    const { collection, namespace } = split(path)
    const key = keyOf(collection, namespace, name)
    const stored = this.#objects.get(key)
    if (stored === undefined) return false
    this.#objects.delete(key)
    this.#tell({ version: ++this.#version, collection, type: 'DELETED', object: { ...stored.object, metadata: { ...stored.object.metadata, resourceVersion: String(this.#version) } } })
    return true
  }
  read(path: string, name: string): KubernetesObject | undefined {
    const { collection, namespace } = split(path)
    return this.#objects.get(keyOf(collection, namespace, name))?.object
  }
  #tell(event: Event): void {
    this.#events.push(event)
    for (const w of this.#watches) if (w.collection === event.collection && w.matches(event.object)) w.response.write(line(event))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://x')
    this.requests.push(`${request.method} ${url.pathname}`)
    if (this.instead?.(request, response) === true) return
    if (this.broken !== undefined) return fail(response, this.broken, 'broken')
    if (url.pathname === '/version') return json(response, 200, { major: '1', minor: this.minor, gitVersion: `v1.${this.minor}.0` })
    if (/^\/apis\/[^/]+\/[^/]+$/.test(url.pathname)) return json(response, 200, { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: url.pathname.slice('/apis/'.length), resources: [{ name: 'things', kind: 'Thing', namespaced: true }] })
    const { collection, namespace, name, subresource } = split(url.pathname)
    const no = this.refused.get(collection.slice(collection.lastIndexOf('/') + 1))
    if (no !== undefined) return fail(response, no, 'refused')
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = chunks.length === 0 ? undefined : (JSON.parse(Buffer.concat(chunks).toString('utf8')) as KubernetesObject)
    const path = `${collection.slice(0, collection.lastIndexOf('/'))}${namespace === '' ? '' : `/namespaces/${namespace}`}/${collection.slice(collection.lastIndexOf('/') + 1)}`
    if (request.method === 'GET' && name === '') return url.searchParams.get('watch') === null ? this.#list(collection, namespace, url, response) : this.#watch(collection, namespace, url, response)
    if (collection.endsWith('/tokenreviews')) return json(response, 201, { ...body, status: this.tokens.get((body as unknown as { spec: { token: string } }).spec.token) ?? { authenticated: false } })
    if (collection.endsWith('accessreviews')) return json(response, 201, { ...body, status: { allowed: this.allowed } })
    if (request.method === 'POST') {
      const its = { ...(body as KubernetesObject), ...typeOf(collection) }
      if (url.searchParams.get('dryRun') === 'All') return json(response, 201, its)
      return this.read(path, its.metadata.name ?? '') === undefined ? json(response, 201, this.put(path, its)) : fail(response, 409, `"${its.metadata.name}" already exists`)
    }
    const before = this.read(path, name)
    if (request.method === 'PATCH' && request.headers['content-type'] === 'application/apply-patch+yaml') return json(response, 200, this.put(path, body as KubernetesObject))
    if (before === undefined) return fail(response, 404, `"${name}" not found`)
    if (request.method === 'GET') return json(response, 200, before)
    if (request.method === 'PUT') {
      const version = body?.metadata.resourceVersion
      return version === undefined || version === before.metadata.resourceVersion ? json(response, 200, this.put(path, body as KubernetesObject)) : fail(response, 409, 'the object has been modified')
    }
    if (request.method === 'PATCH' && request.headers['content-type'] === 'application/strategic-merge-patch+json') return json(response, 200, this.put(path, mergeNamed(before, body) as KubernetesObject))
    if (request.method === 'PATCH') {
      const { metadata, ...fields } = body ?? {}
      if (metadata?.resourceVersion !== undefined && metadata.resourceVersion !== before.metadata.resourceVersion) return fail(response, 409, 'the object has been modified')
      if (collection.endsWith('/secrets')) return json(response, 200, this.put(path, merged(before, fields) as KubernetesObject))
      return json(response, 200, this.put(path, { ...before, ...(subresource === 'status' ? { status: { ...(before['status'] as object), ...(fields as { status?: object }).status } } : fields) }))
    }
    this.remove(path, name)
    json(response, 200, { kind: 'Status', status: 'Success' })
  }

  #list(collection: string, namespace: string, url: URL, response: ServerResponse): void {
    const matches = selector(namespace, url)
    const all = [...this.#objects.values()].filter((s) => s.collection === collection && matches(s.object)).map((s) => s.object)
    const limit = Number(url.searchParams.get('limit') ?? 0) || all.length
    const [from = 0, version = this.#version] = (url.searchParams.get('continue') ?? '').split('@').filter((x) => x !== '').map(Number)
    if (version < this.#oldest) return fail(response, 410, 'the provided continue parameter is too old')
    const next = from + limit
    json(response, 200, { apiVersion: typeOf(collection).apiVersion, kind: `${typeOf(collection).kind}List`, metadata: { resourceVersion: String(version), ...(next < all.length ? { continue: `${next}@${version}` } : {}) }, items: all.slice(from, next).map(({ kind: _kind, apiVersion: _version, ...rest }) => rest) })
  }

  #watch(collection: string, namespace: string, url: URL, response: ServerResponse): void {
    const from = Number(url.searchParams.get('resourceVersion'))
    response.writeHead(200, { 'content-type': 'application/json' })
    if (from < this.#oldest) return void response.end(JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, message: 'too old resource version' } }) + '\n')
    const watch = { collection, matches: selector(namespace, url), response }
    for (const event of this.#events) if (event.version > from && event.collection === collection && watch.matches(event.object)) response.write(line(event))
    response.flushHeaders()
    this.#watches.add(watch)
    response.on('close', () => this.#watches.delete(watch))
  }
}

export function clientOf(api: ApiServer): KubernetesClient {
  return clientOver(transport({ server: api.url, namespace: 'default', cluster: { server: api.url }, user: {} }), api.url, 'default')
}

/** RFC 7386. */
function merged(before: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const from = typeof before === 'object' && before !== null && !Array.isArray(before) ? (before as Record<string, unknown>) : {}
  return Object.fromEntries([...Object.entries(from).filter(([k]) => !(k in patch)), ...Object.entries(patch).flatMap(([k, v]) => (v === null ? [] : [[k, merged(from[k], v)]]))])
}

/** Strategic merge, as far as lists of things with names go. */
function mergeNamed(before: unknown, patch: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(patch)) return before.map((b: { name?: string }) => mergeNamed(b, patch.find((p: { name?: string }) => p.name === b.name) ?? {}))
  if (typeof before !== 'object' || typeof patch !== 'object' || before === null || patch === null) return patch
  return { ...before, ...Object.fromEntries(Object.entries(patch).map(([k, v]) => [k, mergeNamed((before as Record<string, unknown>)[k], v)])) }
}

const kinds = [
  'WasmPlugin', 'HTTPRoute', 'GRPCRoute', 'Ingress',
  'Pod', 'Service', 'ServiceAccount', 'ConfigMap', 'Secret', 'Event', 'Namespace', 'Node', 'Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob', 'HorizontalPodAutoscaler', 'PodDisruptionBudget', 'Lease', 'EndpointSlice', 'Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding',
  'MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration', 'CustomResourceDefinition', 'PeerAuthentication', 'AuthorizationPolicy', 'RequestAuthentication', 'DestinationRule', 'VirtualService', 'ServiceEntry', 'WorkloadEntry', 'WorkloadGroup', 'Sidecar', 'Gateway', 'EnvoyFilter', 'ProxyConfig', 'Telemetry', 'WasmPlugin',
]

/** `/apis/apps/v1/deployments` → its apiVersion and kind. */
function typeOf(collection: string): { apiVersion: string; kind: string } {
  const [plural = '', ...version] = collection.split('/').slice(2).reverse()
  const apiVersion = version.reverse().join('/')
  const kind = kinds.find((k) => knownResource(apiVersion, k)?.plural === plural)
  if (kind === undefined) throw new Error(`the small API server knows no ${collection}`)
  return { apiVersion, kind }
}

function keyOf(collection: string, namespace: string, name: string): string {
  return `${collection} ${namespace}/${name}`
}

function line(event: Event): string {
  return JSON.stringify({ type: event.type, object: event.object }) + '\n'
}

/** Collections are named without their namespace, so that one watch sees all. */
function split(path: string): { collection: string; namespace: string; name: string; subresource: string } {
  const parts = path.split('/').filter((p) => p !== '')
  const group = parts[0] === 'api' ? parts.slice(0, 2) : parts.slice(0, 3)
  let rest = parts.slice(group.length)
  let namespace = ''
  if (rest[0] === 'namespaces' && rest.length > 2) [namespace, rest] = [rest[1] ?? '', rest.slice(2)]
  return { collection: `/${[...group, rest[0]].join('/')}`, namespace, name: rest[1] ?? '', subresource: rest[2] ?? '' }
}

function selector(namespace: string, url: URL): (o: KubernetesObject) => boolean {
  const name = /metadata\.name=([^,]+)/.exec(url.searchParams.get('fieldSelector') ?? '')?.[1]
  return (o) => (namespace === '' || o.metadata.namespace === namespace) && (name === undefined || o.metadata.name === name)
}

function json(response: ServerResponse, code: number, value: unknown): void {
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(value))
}

function fail(response: ServerResponse, code: number, message: string): void {
  json(response, code, { kind: 'Status', code, message })
}
