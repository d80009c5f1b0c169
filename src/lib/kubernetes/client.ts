// Speaks to one API server: objects by name, lists in pages, watches, writes. Law: knows paths and codes, decides nothing; who calls retries.
import type { IncomingMessage } from 'node:http'
import { KithError } from '#lib/errors.ts'
import { checkDeleted, eventOf, objectOf, pageOf, parsed, resourcesOf, type Expected, type ServedResource } from './answers.ts'
import { bodyText, transport, type Exchange, type Transport } from './http.ts'
import { jsonLines } from './json-lines.ts'
import { groupPath, knownResource, resourcePath, type Resource } from './kinds.ts'
import { clusterAccess, type AccessOptions } from './kubeconfig.ts'
import { objectKey } from './object-key.ts'
import type { Collection, KubernetesClient, KubernetesObject, ListPage, ObjectKey, PatchType, WatchEvent, WriteOptions } from './types.ts'

export type { Collection, KubernetesClient, KubernetesObject, ListPage, ObjectKey, ObjectMeta, OwnerReference, PatchType, WatchEvent, WriteOptions } from './types.ts'

const pageSize = 500
/** The server ends a watch after so long; each differs, so that not all come back at once. */
const watchSeconds = (): number => 240 + Math.floor(Math.random() * 120)
/** Bookmarks come about every minute: a connection that is silent for so long has died unnoticed. */
const silentMs = 150_000

export async function kubernetesClient(options: AccessOptions = {}): Promise<KubernetesClient> {
  const access = clusterAccess(options)
  return clientOver(transport(access), access.server, access.namespace)
}

export function clientOver(wire: Transport, server: string, namespace: string): KubernetesClient {
  const discovered = new Map<string, Promise<readonly ServedResource[]>>()
  const json = async (exchange: Exchange): Promise<unknown> => parsed(await bodyText(await wire.send(exchange), exchange))
  const resourceOf = async (apiVersion: string, kind: string): Promise<Resource> => {
    const known = knownResource(apiVersion, kind)
    if (known !== undefined) return known
    const asked = discovered.get(apiVersion) ?? json({ method: 'GET', path: groupPath(apiVersion) }).then((a) => resourcesOf(a, `GET ${groupPath(apiVersion)}`))
    discovered.set(apiVersion, asked)
    // A CRD may be made in a moment: what was not found is asked for again.
    const found = await asked.then((all) => all.find((r) => r.kind === kind && !r.name.includes('/')), (error: unknown) => {
      discovered.delete(apiVersion)
      throw error
    })
    if (found === undefined) {
      discovered.delete(apiVersion)
      throw new KithError('K8S_NOT_FOUND', `the API server has no kind ${kind} in ${apiVersion}`)
    }
    return { plural: found.name, namespaced: found.namespaced }
  }
  const pathTo = async (key: ObjectKey, subresource = ''): Promise<string> => {
    const resource = await resourceOf(key.apiVersion, key.kind)
    const within = resource.namespaced ? (key.namespace ?? namespace) : undefined
    return resourcePath(resource, key.apiVersion, within, key.name) + subresource
  }
  const pathOf = async (of: Collection): Promise<string> => resourcePath(await resourceOf(of.apiVersion, of.kind), of.apiVersion, of.namespace)
  const write = async (expected: Expected, method: string, path: string, body: unknown, contentType: string, options: WriteOptions & { force?: boolean } = {}): Promise<KubernetesObject> => {
    const query = { fieldManager: options.fieldManager ?? 'kith', ...(options.dryRun === true ? { dryRun: 'All' } : {}), ...(options.force === true ? { force: 'true' } : {}) }
    return objectOf(await json({ method, path: withQuery(path, query), body: JSON.stringify(body), contentType }), expected, `${method} ${path}`)
  }

  async function* pages(of: Collection, options: { readonly resourceVersion?: string; readonly signal?: AbortSignal } = {}): AsyncIterable<ListPage> {
    const path = await pathOf(of)
    let next = ''
    do {
      const query = { ...selectors(of), limit: String(pageSize), ...(next === '' ? (options.resourceVersion === undefined ? {} : { resourceVersion: options.resourceVersion }) : { continue: next }) }
      const answer = await json({ method: 'GET', path: withQuery(path, query), ...(options.signal === undefined ? {} : { signal: options.signal }) })
      const { next: following, ...page } = pageOf(answer, of, knownResource(of.apiVersion, of.kind) === undefined ? undefined : `${of.kind}List`, `GET ${path}`)
      yield page
      next = following
    } while (next !== '')
  }

  async function* watch(of: Collection, options: { readonly resourceVersion: string; readonly signal: AbortSignal; readonly bookmarks?: boolean; readonly onOpen?: () => void }): AsyncIterable<WatchEvent> {
    const query = { ...selectors(of), watch: '1', resourceVersion: options.resourceVersion, timeoutSeconds: String(watchSeconds()), ...(options.bookmarks === false ? {} : { allowWatchBookmarks: 'true' }) }
    const path = await pathOf(of)
    const response = await wire.send({ method: 'GET', path: withQuery(path, query), signal: options.signal })
    const type = response.headers['content-type'] ?? 'nothing that says what it is'
    try {
      if (!/\bjson\b/i.test(type)) throw new KithError('K8S_FAILED', `GET ${path}: the watch of ${of.kind} is answered with ${type}`)
      options.onOpen?.()
      for await (const event of jsonLines(alive(response))) yield eventOf(event, of, `GET ${path}`)
    } catch (cause) {
      if (options.signal.aborted) return
      if (cause instanceof KithError) throw cause
      if (cause instanceof SyntaxError) throw new KithError('K8S_FAILED', `GET ${path}: the watch of ${of.kind} sent a line that is no JSON`)
      throw new KithError('K8S_UNREACHABLE', `the watch of ${of.kind} was cut off: ${(cause as Error).message}`, { cause })
    } finally {
      response.destroy()
    }
  }

  return {
    server, namespace, pages, watch,
    async request(method, path, options = {}) {
      const { body, query, ...rest } = options
      return json({ method, path: withQuery(path, query ?? {}), ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }), ...rest })
    },
    async get(key) {
      return undefinedIfMissing(async () => {
        const path = await pathTo(key)
        return objectOf(await json({ method: 'GET', path }), key, `GET ${path}`)
      })
    },
    async list(of, options) {
      const items: KubernetesObject[] = []
      let resourceVersion = ''
      for await (const page of pages(of, options)) {
        items.push(...page.items)
        resourceVersion = page.resourceVersion
      }
      return { items, resourceVersion }
    },
    async create(object, options) {
      const { apiVersion, kind, metadata } = object
      const resource = await resourceOf(apiVersion, kind)
      return write(expectedOf(object), 'POST', resourcePath(resource, apiVersion, resource.namespaced ? (metadata?.namespace ?? namespace) : undefined), object, 'application/json', options)
    },
    update: async (object, options) => write(expectedOf(object), 'PUT', await pathTo(objectKey(object)), object, 'application/json', options),
    apply: async (object, options) => write(expectedOf(object), 'PATCH', await pathTo(objectKey(object)), object, 'application/apply-patch+yaml', options),
    patch: async (key, type, body, options) => write(key, 'PATCH', await pathTo(key, options?.subresource === undefined ? '' : `/${options.subresource}`), body, patchTypes[type], options),
    async delete(key, options = {}) {
      const body = JSON.stringify({ apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: options.propagation ?? 'Background', ...(options.dryRun === true ? { dryRun: ['All'] } : {}) })
      return (await undefinedIfMissing(async () => {
        const path = await pathTo(key)
        return checkDeleted(await json({ method: 'DELETE', path, body }), key, `DELETE ${path}`)
      })) === true
    },
    close: () => wire.close(),
  }
}

const patchTypes: Readonly<Record<PatchType, string>> = { json: 'application/json-patch+json', merge: 'application/merge-patch+json', strategic: 'application/strategic-merge-patch+json' }

function expectedOf({ apiVersion, kind, metadata }: KubernetesObject): Expected {
  return { apiVersion, kind, ...(metadata?.name === undefined ? {} : { name: metadata.name }) }
}

function selectors(of: Collection): Record<string, string> {
  return { ...(of.labelSelector === undefined ? {} : { labelSelector: of.labelSelector }), ...(of.fieldSelector === undefined ? {} : { fieldSelector: of.fieldSelector }) }
}

function withQuery(path: string, query: Readonly<Record<string, string>>): string {
  const text = new URLSearchParams(query).toString()
  return text === '' ? path : `${path}${path.includes('?') ? '&' : '?'}${text}`
}

async function undefinedIfMissing<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    if (error instanceof KithError && error.code === 'K8S_NOT_FOUND') return undefined
    throw error
  }
}

/** The body, cut where nothing comes for too long. */
async function* alive(response: IncomingMessage): AsyncIterable<Buffer> {
  response.setTimeout(silentMs, () => response.destroy(new Error(`nothing came for ${silentMs / 1000} s`)))
  for await (const chunk of response) yield chunk as Buffer
}
