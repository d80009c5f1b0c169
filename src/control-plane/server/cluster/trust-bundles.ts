// The mesh's roots in every namespace: ConfigMap istio-ca-root-cert, which pods mount. Written by the leader, mended when edited or deleted.
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { isRecord } from '#api'
import { follow } from '#sources'

export const bundleName = 'istio-ca-root-cert'
/** The control plane's namespace: a bundle of another mesh says nothing of this one's roots. */
const writtenBy = 'kith.dev/written-by'
const bundleKey = 'root-cert.pem'
/** Istio: IgnoredNamespaces of the namespace controller. */
const ignored = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'])
/** So many writes at a time; a cluster may have thousands of namespaces. */
const atOnce = 8
const retryMs = 2000
/** Where another keeps writing something else (a second mesh without discoverySelectors), nobody wins by haste. */
const firstRestMs = 250
const longestRestMs = 60_000
/** What was written is seen over the watch; what is not seen for so long is looked at again. */
const unseenMs = 5000

/** How often a namespace was mended of late. */
export interface Mended {
  readonly atMs: number
  readonly times: number
}

/** Pure: from when on it may be mended again. */
export function restUntilMs(mended: Mended | undefined): number {
  return mended === undefined ? 0 : mended.atMs + Math.min(firstRestMs * 2 ** Math.min(mended.times - 1, 16), longestRestMs)
}

export function mendedAgain(mended: Mended | undefined, nowMs: number): Mended {
  return { atMs: nowMs, times: mended === undefined || nowMs - mended.atMs > longestRestMs ? 1 : mended.times + 1 }
}

export interface KnownNamespace {
  readonly ending: boolean
  readonly labels: Readonly<Record<string, string>>
}

/** Pure: the namespaces whose bundle is not what it shall be. `held`: namespace → text; `chosen`: meshConfig.discoverySelectors. */
export function namespacesToMend(namespaces: ReadonlyMap<string, KnownNamespace>, held: ReadonlyMap<string, string | undefined>, roots: string, chosen: (name: string, labels: KnownNamespace['labels']) => boolean): string[] {
  return [...namespaces].filter(([name, { ending, labels }]) => !ending && !ignored.has(name) && chosen(name, labels) && held.get(name) !== roots).map(([name]) => name).sort()
}

export interface TrustBundles {
  setRoots(roots: string): void
  setLeading(leads: boolean): void
  /** Which namespaces belong to the mesh. Default: all. */
  setChosen(chosen: (name: string, labels: KnownNamespace['labels']) => boolean): void
  /** What a former life of this mesh's control plane wrote into its own namespace. */
  former(): string | undefined
  readonly settled: Promise<unknown>
  close(): void
}

export function trustBundles(client: Pick<KubernetesClient, 'pages' | 'watch' | 'apply'>, own: string, log: Logger): TrustBundles {
  const ending = new AbortController()
  const namespaces = new Map<string, KnownNamespace>()
  const held = new Map<string, string | undefined>()
  const versions = new Map<string, string | undefined>()
  /** Written, and not seen over the watch yet: what the watch still says is older. */
  const unseen = new Map<string, { readonly version: string | undefined; readonly atMs: number }>()
  const mended = new Map<string, Mended>()
  let roots: string | undefined
  let chosen: Parameters<TrustBundles['setChosen']>[0] = () => true
  let former: string | undefined
  let leads = false
  let settled = false
  let running = false
  let again = false
  let timer: NodeJS.Timeout | undefined
  const wake = (): void => {
    if (!leads || roots === undefined || !settled || ending.signal.aborted) return
    if (running) {
      again = true
      return
    }
    running = true
    void mend(roots).finally(() => {
      running = false
      if (again) {
        again = false
        wake()
      }
    })
  }
  const wakeIn = (ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(wake, ms)
    timer.unref()
  }
  const mend = async (text: string): Promise<void> => {
    const nowMs = Date.now()
    for (const [namespace, { atMs }] of unseen) if (nowMs - atMs > unseenMs) unseen.delete(namespace)
    const wanted = namespacesToMend(namespaces, held, text, chosen).filter((n) => !unseen.has(n))
    const todo = wanted.filter((n) => restUntilMs(mended.get(n)) <= nowMs)
    const resting = wanted.filter((n) => restUntilMs(mended.get(n)) > nowMs).map((n) => restUntilMs(mended.get(n)) - nowMs)
    if (resting.length > 0) wakeIn(Math.min(...resting))
    let written = 0
    const failed: string[] = []
    const worker = async (): Promise<void> => {
      for (let namespace = todo.shift(); namespace !== undefined && leads && !ending.signal.aborted; namespace = todo.shift()) {
        try {
          const { metadata } = await client.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: bundleName, namespace, labels: { 'istio.io/config': 'true' }, annotations: { [writtenBy]: own } }, data: { [bundleKey]: text } }, { force: true })
          if (isOlder(versions.get(namespace), metadata.resourceVersion)) unseen.set(namespace, { version: metadata.resourceVersion, atMs: Date.now() })
          mended.set(namespace, mendedAgain(mended.get(namespace), Date.now()))
          written++
        } catch (error) {
          failed.push(`${namespace}: ${(error as Error).message}`)
        }
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
    if (written > 0) log.info({ namespaces: written }, 'trust bundle written')
    if (failed.length === 0) return
    log.warn({ namespaces: failed.length, first: failed[0] }, 'trust bundle could not be written, trying again')
    wakeIn(retryMs)
  }
  const ofNamespaces = follow({ apiVersion: 'v1', kind: 'Namespace' }, {
    client, log, signal: ending.signal,
    onChange({ put, gone }) {
      for (const o of put) namespaces.set(o.metadata.name as string, { ending: o.metadata.deletionTimestamp !== undefined, labels: o.metadata.labels ?? {} })
      for (const name of gone.map(nameOf)) {
        namespaces.delete(name)
        mended.delete(name)
      }
      if (put.length > 0) wake()
    },
  })
  const ofBundles = follow({ apiVersion: 'v1', kind: 'ConfigMap', fieldSelector: `metadata.name=${bundleName}` }, {
    client, log, signal: ending.signal,
    onChange({ put, gone }) {
      const seen = (namespace: string, text: string | undefined, version: string | undefined): void => {
        held.set(namespace, text)
        versions.set(namespace, version)
        if (!isOlder(version, unseen.get(namespace)?.version)) unseen.delete(namespace)
      }
      for (const o of put) if (o.metadata.namespace === own) former = o.metadata.annotations?.[writtenBy] === own ? textOf(o) : undefined
      for (const o of put) seen(o.metadata.namespace as string, textOf(o), o.metadata.resourceVersion)
      for (const key of gone) seen(key.slice(0, key.indexOf('/')), undefined, String(Number.MAX_SAFE_INTEGER))
      if (put.length + gone.length > 0) wake()
    },
  })
  return {
    setRoots(text) {
      roots = text
      // New roots wait for nobody: what is to sign must be known first.
      mended.clear()
      wake()
    },
    setLeading(now) {
      leads = now
      wake()
    },
    setChosen(now) {
      chosen = now
      wake()
    },
    former: () => former,
    settled: Promise.all([ofNamespaces.settled, ofBundles.settled]).then(() => {
      settled = true
      wake()
    }),
    close() {
      clearTimeout(timer)
      ending.abort()
    },
  }
}

/** Versions of one kind count upwards (KEP-5504).. */
function isOlder(seen: string | undefined, written: string | undefined): boolean {
  return written !== undefined && (seen === undefined || Number(seen) < Number(written))
}

function nameOf(key: string): string {
  return key.slice(key.indexOf('/') + 1)
}

/** What a hand may have added beside the roots is not ours to judge; what it changed in them is. */
function textOf(object: KubernetesObject): string | undefined {
  const data = object['data']
  return isRecord(data) && typeof data[bundleKey] === 'string' ? data[bundleKey] : undefined
}
