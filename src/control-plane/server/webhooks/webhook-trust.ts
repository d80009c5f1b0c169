// Whether the API server will believe the webhooks: each webhook's caBundle must verify the certificate that is served,
// as Go does.
// Law: what does not hold is said, in /ready, the log and a metric: pods and proxy-status look healthy while every
// pod's creation fails.
import type { X509Certificate } from 'node:crypto'
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { isRecord } from '#api'
import { altNamesOf, parseCertificates, strictChainProblem } from '#identity'

export interface Distrust {
  /** `MutatingWebhookConfiguration istio-sidecar-injector`. */
  readonly configuration: string
  readonly webhook: string
  readonly reason: string
}

export interface Webhook {
  readonly name: string
  readonly failurePolicy?: string
  readonly clientConfig: {
    readonly caBundle?: string
    readonly url?: string
    readonly service?: { readonly name?: string; readonly namespace?: string }
  }
}

/** `chain`: PEM of what is served, its end first. One entry for each webhook of ours that would not be believed. */
export function distrusted(object: KubernetesObject, chain: string, nowMs: number): Distrust[] {
  const [served, ...intermediates] = parseCertificates(chain)
  return ownWebhooks(object).flatMap((webhook) => {
    const reason = reasonOf(webhook, served as X509Certificate, intermediates, nowMs)
    const configuration = `${object.kind} ${object.metadata.name ?? ''}`
    return reason === undefined ? [] : [{ configuration, webhook: webhook.name, reason }]
  })
}

/** One sentence. */
export function distrustText({ configuration, webhook, reason }: Distrust): string {
  return `${configuration}: the API server can’t call the webhook ${webhook}: ${reason}`
}

const ours = /(^|\.)(sidecar-injector|validation)\.istio\.io$/

/** The webhooks of a configuration that a control plane of a mesh answers. */
export function ownWebhooks(object: KubernetesObject): Webhook[] {
  const list = object['webhooks']
  const all = Array.isArray(list) ? (list as unknown[]) : []
  const isWebhook = (w: unknown): w is Webhook =>
    isRecord(w) && typeof w['name'] === 'string' && isRecord(w['clientConfig']) && ours.test(w['name'])
  return all.filter(isWebhook)
}

function reasonOf(
  { clientConfig }: Webhook,
  served: X509Certificate,
  intermediates: readonly X509Certificate[],
  nowMs: number,
): string | undefined {
  const { caBundle = '', service, url } = clientConfig
  if (caBundle === '') return 'it has no caBundle yet'
  let roots: readonly X509Certificate[]
  try {
    roots = parseCertificates(Buffer.from(caBundle, 'base64').toString('utf8'))
  } catch (error) {
    return `its caBundle can’t be read: ${(error as Error).message}`
  }
  const problem = strictChainProblem(served, { intermediates, roots, nowMs })
  if (problem !== undefined) return `its caBundle does not verify the certificate that is served: ${problem}`
  const host = service === undefined ? hostOf(url) : `${service.name ?? ''}.${service.namespace ?? ''}.svc`
  const names = altNamesOf(served)?.filter((n) => n.type === 'DNS' || n.type === 'IP Address') ?? []
  return names.some((n) => n.value === host) ? undefined : `the certificate that is served does not name ${host}`
}

function hostOf(url = ''): string {
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, '') : ''
}
