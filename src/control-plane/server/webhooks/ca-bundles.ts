// Keeps caBundle of this revision's webhooks to what verifies this control plane, and repairs it when somebody changes it.
// Law: the leader writes what is right; another replica only where the API server could not reach it at all, so that two never undo each other's work by turns.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { certificateBlocks } from '#identity'
import { follow } from '#sources'
import type { Pair } from '../serving-certificate.ts'
import { distrusted, distrustText, ownWebhooks, type Distrust } from './webhook-trust.ts'

export interface CaBundlesOptions {
  readonly client: KubernetesClient
  readonly revision: string
  /** What sends to another namespace's Service is another mesh's. */
  readonly namespace: string
  readonly leads: () => boolean
  readonly onPatch: (name: string, outcome: 'done' | 'failed') => void
  /** The pair that is served now; undefined: none is yet. */
  readonly served: () => Pair | undefined
  readonly log: Logger
  /** What is not believed for so long is said in the log: a bundle that is about to be set is no news. Default 3 s. */
  readonly sayAfterMs?: number
}

export interface CaBundles {
  /** PEM. */
  setRoots(roots: string): void
  /** Leading or not, ready or not, another certificate served: looks again. */
  check(): void
  /** Webhooks of ours that the API server would not believe now. */
  distrusted(): readonly Distrust[]
  /** The configurations that are followed, by name: whether all of their webhooks are believed. */
  trust(): ReadonlyMap<string, boolean>
  close(): void
}

const kinds = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'] as const
const retryMs = 5000
const othersWaitMs = 30_000

export function keepCaBundles(options: CaBundlesOptions): CaBundles {
  const { client, log, revision } = options
  const ending = new AbortController()
  const held = new Map<string, KubernetesObject>()
  /** Since when a bundle lacks us, by object. */
  const lacking = new Map<string, number>()
  let roots = ''
  let timer: NodeJS.Timeout | undefined
  let running = false
  let again = false

  const wake = (ms = 0): void => {
    if (ending.signal.aborted || timer !== undefined) return
    if (running) return void (again = true)
    timer = setTimeout(() => {
      timer = undefined
      running = true
      void work().then((laterMs) => {
        running = false
        if (again || laterMs !== undefined) wake(again ? 0 : laterMs)
        again = false
      })
    }, ms)
    timer.unref()
  }
  const work = async (): Promise<number | undefined> => {
    let laterMs: number | undefined
    tell()
    for (const [key, object] of held) {
      if (roots === '' || ending.signal.aborted) return undefined
      const change = bundlePatch(object, roots)
      const missing = change?.worst
      if (change === undefined || missing === undefined) {
        lacking.delete(key)
        continue
      }
      const since = lacking.get(key) ?? Date.now()
      lacking.set(key, since)
      if (!options.leads() && missing !== 'none' && (missing === 'more' || Date.now() - since < othersWaitMs)) {
        laterMs = othersWaitMs
        continue
      }
      const name = object.metadata.name ?? ''
      try {
        await client.patch({ apiVersion: object.apiVersion, kind: object.kind, name }, 'strategic', { webhooks: change.webhooks })
        options.onPatch(name, 'done')
        log.info({ kind: object.kind, name }, 'caBundle set')
        lacking.delete(key)
      } catch (error) {
        options.onPatch(name, 'failed')
        log.error({ kind: object.kind, name, code: error instanceof KithError ? error.code : 'UNEXPECTED', reason: (error as Error).message }, 'caBundle could not be set, trying again')
        laterMs = retryMs
        await pause(100)
      }
    }
    return laterMs
  }
  const now = (object: KubernetesObject): Distrust[] => {
    const pair = options.served()
    return pair === undefined ? [] : distrusted(object, pair.certificate.toString('utf8'), Date.now())
  }
  const doubts = distrustLog(log, () => [...held.values()].flatMap(now), options.sayAfterMs)
  const tell = (): void => doubts.look()
  for (const kind of kinds) {
    follow({ apiVersion: 'admissionregistration.k8s.io/v1', kind, labelSelector: `istio.io/rev=${revision}` }, {
      client, log, signal: ending.signal,
      onChange({ put, gone }) {
        for (const object of put) if (belongs(object, options)) held.set(`${kind} ${object.metadata.name ?? ''}`, object)
        for (const key of gone) held.delete(`${kind} ${key.slice(key.indexOf('/') + 1)}`)
        wake()
      },
    })
  }
  return {
    setRoots(next) {
      roots = next
      wake()
    },
    check: () => wake(),
    distrusted: () => [...held.values()].flatMap(now),
    trust: () => new Map([...held.values()].map((object) => [object.metadata.name ?? '', now(object).length === 0])),
    close() {
      ending.abort()
      doubts.close()
      clearTimeout(timer)
    },
  }
}

/** Says once what the API server would not believe, and once that it does again. */
function distrustLog(log: Logger, current: () => readonly Distrust[], sayAfterMs = 3000): { look(): void; close(): void } {
  let said: ReadonlySet<string> = new Set()
  let timer: NodeJS.Timeout | undefined
  let closed = false
  const say = (): void => {
    timer = undefined
    const doubts = new Map(current().map((d) => [distrustText(d), d]))
    for (const [text, { configuration, webhook, reason }] of doubts) {
      if (!said.has(text)) log.error({ configuration, webhook, reason }, 'the API server can’t call a webhook: its caBundle does not verify this control plane')
    }
    if (said.size > 0 && doubts.size === 0) log.info({}, 'the API server can call the webhooks again')
    said = new Set(doubts.keys())
    if (doubts.size > 0) plan()
  }
  const plan = (): void => {
    if (closed || timer !== undefined) return
    timer = setTimeout(say, sayAfterMs)
    timer.unref()
  }
  return {
    look: () => void ((said.size > 0 || current().length > 0) && plan()),
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

/** What must change, or undefined. `worst`: a webhook has `none`, lacks one of ours, or has `more` than ours. */
export function bundlePatch(object: KubernetesObject, roots: string): { readonly webhooks: readonly object[]; readonly worst: 'none' | 'lacks' | 'more' } | undefined {
  const wanted = Buffer.from(roots).toString('base64')
  const validating = object.kind === 'ValidatingWebhookConfiguration'
  const wrong = ownWebhooks(object).filter((w) => (w.clientConfig.caBundle !== wanted || (validating && w.failurePolicy !== 'Fail')))
  if (wrong.length === 0) return undefined
  const states = wrong.map((w) => stateOf(w.clientConfig.caBundle ?? '', roots))
  const worst = states.includes('none') ? 'none' : states.includes('lacks') ? 'lacks' : 'more'
  return { worst, webhooks: wrong.map((w) => ({ name: w.name, clientConfig: { caBundle: wanted }, ...(validating ? { failurePolicy: 'Fail' } : {}) })) }
}

function stateOf(bundle: string, roots: string): 'none' | 'lacks' | 'more' {
  if (bundle === '') return 'none'
  const there = certificates(Buffer.from(bundle, 'base64').toString('utf8'))
  return certificates(roots).every((c) => there.includes(c)) ? 'more' : 'lacks'
}

function certificates(pem: string): string[] {
  return certificateBlocks(pem).map((block) => block.replaceAll(/\s/g, ''))
}

/** A configuration may be labelled with our revision and send to another mesh's namespace. */
function belongs(object: KubernetesObject, { revision, namespace }: Pick<CaBundlesOptions, 'revision' | 'namespace'>): boolean {
  if (object.metadata.labels?.['istio.io/rev'] !== revision) return false
  return ownWebhooks(object).some((w) => (w.clientConfig.service === undefined || w.clientConfig.service.namespace === namespace))
}
