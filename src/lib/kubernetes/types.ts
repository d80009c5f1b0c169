// What everything that speaks to a Kubernetes API server goes by. Law: knows kinds and paths, nothing of meshes.

export interface KubernetesObject {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: ObjectMeta
  readonly [field: string]: unknown
}

export interface ObjectMeta {
  readonly name?: string
  readonly generateName?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly creationTimestamp?: string
  readonly deletionTimestamp?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly ownerReferences?: readonly OwnerReference[]
  readonly [field: string]: unknown
}

export interface OwnerReference {
  readonly apiVersion: string
  readonly kind: string
  readonly name: string
  readonly uid: string
  readonly controller?: boolean
}

/** One object by name. `namespace` is left out for what is the whole cluster's. */
export interface ObjectKey {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly name: string
}

/** All objects of a kind, of one namespace or of all. */
export interface Collection {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace?: string
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  /** A `Status` where type is ERROR. */
  readonly object: KubernetesObject
}

/** Part of a list; the last one's `resourceVersion` is the list's. */
export interface ListPage {
  readonly items: readonly KubernetesObject[]
  readonly resourceVersion: string
}

export type PatchType = 'json' | 'merge' | 'strategic'

export interface WriteOptions {
  /** The API server checks and answers as it would, and keeps nothing. Default false. */
  readonly dryRun?: boolean
  /** `managedFields` name. Default `kith`. */
  readonly fieldManager?: string
}

/**
 * Throws KithError: `K8S_UNREACHABLE` (no answer, with the cause), `K8S_UNAUTHORIZED` (401), `K8S_FORBIDDEN` (403), `K8S_NOT_FOUND` (404), `K8S_CONFLICT` (409), `K8S_GONE` (410), `K8S_INVALID` (400, 422), `K8S_FAILED` (the rest, and every
 * body that is not of the kind that was asked for: a page of a proxy with status 200, a Table, a list without resourceVersion, a refusal that is no Status);
 * the message is the API server's own sentence behind what was asked.
 */
export interface KubernetesClient {
  /** `https://10.0.0.1:6443` */
  readonly server: string
  /** Namespace of the kubeconfig's context, or of the pod; else `default`. */
  readonly namespace: string
  /** Any path: `/version`, `/api/v1/namespaces/foo/pods/x/log`. JSON where the answer is JSON, else text. */
  request(method: string, path: string, options?: { readonly body?: unknown; readonly contentType?: string; readonly query?: Readonly<Record<string, string>>; readonly timeoutMs?: number; readonly signal?: AbortSignal }): Promise<unknown>
  /** undefined: not there. */
  get(key: ObjectKey): Promise<KubernetesObject | undefined>
  list(of: Collection, options?: { readonly resourceVersion?: string; readonly signal?: AbortSignal }): Promise<{ readonly items: readonly KubernetesObject[]; readonly resourceVersion: string }>
  /** The same page by page, so that a long list need not be held whole. Throws K8S_GONE where it took too long. */
  pages(of: Collection, options?: { readonly resourceVersion?: string; readonly signal?: AbortSignal }): AsyncIterable<ListPage>
  /** Ends when the server ends it (by its own time-out) or `signal` does. An `ERROR` event is yielded, not thrown. `onOpen`: the server has begun to answer. */
  watch(of: Collection, options: { readonly resourceVersion: string; readonly signal: AbortSignal; readonly bookmarks?: boolean; readonly onOpen?: () => void }): AsyncIterable<WatchEvent>
  create(object: KubernetesObject, options?: WriteOptions): Promise<KubernetesObject>
  /** Replaces; with `metadata.resourceVersion` only what was read. */
  update(object: KubernetesObject, options?: WriteOptions): Promise<KubernetesObject>
  /** Server-side apply. `force` takes fields over from other managers. */
  apply(object: KubernetesObject, options?: WriteOptions & { readonly force?: boolean }): Promise<KubernetesObject>
  patch(key: ObjectKey, type: PatchType, body: unknown, options?: WriteOptions & { readonly subresource?: 'status' }): Promise<KubernetesObject>
  /** false: it was not there. */
  delete(key: ObjectKey, options?: { readonly propagation?: 'Background' | 'Foreground' | 'Orphan'; readonly dryRun?: boolean }): Promise<boolean>
  close(): void
}
