// Keeps caBundle of this revision's webhooks to what verifies this control plane, and repairs it when somebody changes it.
// Law: the leader writes what is right; another replica only where the API server could not reach it at all, so that two never undo each other's work by turns.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { isRecord } from '#api'
import { certificateBlocks } from '#identity'
import { follow } from '#sources'

export interface CaBundlesOptions {
  readonly client: KubernetesClient
  readonly revision: string
  /** What sends to another namespace's Service is another mesh's. */
  readonly namespace: string
  readonly leads: () => boolean
  readonly onPatch: (name: string, outcome: 'done' | 'failed') => void
  readonly log: Logger
}

export interface CaBundles {
  /** PEM. */
  setRoots(roots: string): void
  /** Leading or not, ready or not: looks again. */
  check(): void
  close(): void
}

const kinds = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration'] as const
const ours = /(^|\.)(sidecar-injector|validation)\.istio\.io$/
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
    close() {
      ending.abort()
      clearTimeout(timer)
    },
  }
}

interface Webhook {
  readonly name: string
  readonly failurePolicy?: string
  readonly clientConfig: { readonly caBundle?: string; readonly service?: { readonly namespace?: string } }
}

/** What must change, or undefined. `worst`: a webhook has `none`, lacks one of ours, or has `more` than ours. */
export function bundlePatch(object: KubernetesObject, roots: string): { readonly webhooks: readonly object[]; readonly worst: 'none' | 'lacks' | 'more' } | undefined {
  const wanted = Buffer.from(roots).toString('base64')
  const validating = object.kind === 'ValidatingWebhookConfiguration'
  const wrong = webhooksOf(object).filter((w) => ours.test(w.name) && (w.clientConfig.caBundle !== wanted || (validating && w.failurePolicy !== 'Fail')))
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
  return webhooksOf(object).some((w) => ours.test(w.name) && (w.clientConfig.service === undefined || w.clientConfig.service.namespace === namespace))
}

function webhooksOf(object: KubernetesObject): Webhook[] {
  const list = object['webhooks']
  return Array.isArray(list) ? (list as unknown[]).filter((w): w is Webhook => isRecord(w) && typeof w['name'] === 'string' && isRecord(w['clientConfig'])) : []
}
