// An AdmissionReview of a pod → the answer the API server gets: a patch, a refusal that names the field, or nothing to do. Pure.
// Law: a pod that can't be injected as asked is refused, never let in without a sidecar; only what is ours is patched; a dry run is answered as any other.
import { isRecord } from '#api'
import type { Decided } from '#lib/decided.ts'
import { decideInjection, injectKey, injectionRequired } from './decide.ts'
import { injectPod } from './inject-pod.ts'
import type { Injector } from './injector.ts'
import { jsonPatch } from './json-patch.ts'
import { controllerOf, ownerOfPod, type PodOwner } from './owner.ts'
import { typeFaults } from './pod-types.ts'
import { strings } from './strings.ts'

type Obj = Record<string, unknown>

export interface ReviewContext extends Injector {
  /** Labels of the pod's namespace as last known, for reasons and warnings; the API server's selectors have chosen already. */
  readonly namespaceLabels?: (namespace: string) => Readonly<Record<string, string>> | undefined
}

export interface ReviewedPod {
  readonly namespace: string
  /** `web-5d4f…`, or what its name will begin with. */
  readonly name: string
  readonly controller: (PodOwner & { readonly uid: string }) | undefined
  readonly dryRun: boolean
}

export interface Review {
  /** The whole answer. */
  readonly answer: { readonly apiVersion: string; readonly kind: 'AdmissionReview'; readonly response: AdmissionResponse }
  readonly outcome: 'injected' | 'skipped' | 'refused' | 'unreadable'
  readonly decided?: Decided<boolean>
  readonly pod?: ReviewedPod
  /** What a refusal says. */
  readonly message?: string
}

export interface AdmissionResponse {
  readonly uid: string
  readonly allowed: boolean
  readonly status?: { readonly code: number; readonly message: string }
  readonly patchType?: 'JSONPatch'
  /** base64 */
  readonly patch?: string
  readonly warnings?: readonly string[]
}

export interface AdmissionRequest {
  readonly uid: string
  readonly namespace: string
  readonly operation: string
  readonly dryRun: boolean
  readonly object: Obj | undefined
}

const v1 = 'admission.k8s.io/v1'

/** The request inside, or the sentence that says why there is none. */
export function readAdmissionReview(review: unknown): AdmissionRequest | string {
  if (!isRecord(review) || review['kind'] !== 'AdmissionReview') return 'this is no AdmissionReview'
  if (review['apiVersion'] !== v1) return `AdmissionReview of ${String(review['apiVersion'])} is not spoken here, only ${v1}: set admissionReviewVersions to ["v1"]`
  const request = review['request']
  if (!isRecord(request)) return 'the AdmissionReview has no request'
  if (typeof request['uid'] !== 'string' || request['uid'] === '') return 'the AdmissionReview’s request has no uid'
  const text = (key: string): string => (typeof request[key] === 'string' ? request[key] : '')
  return { uid: request['uid'], namespace: text('namespace'), operation: text('operation'), dryRun: request['dryRun'] === true, object: isRecord(request['object']) ? request['object'] : undefined }
}

export function admissionAnswer(response: AdmissionResponse): Review['answer'] {
  return { apiVersion: v1, kind: 'AdmissionReview', response }
}

export function refusal(uid: string, code: number, message: string): Review['answer'] {
  return admissionAnswer({ uid, allowed: false, status: { code, message } })
}

/** No pod is let in, whatever it asks. */
export function refuseReview(review: unknown, message: string): Review {
  return { outcome: 'refused', message, answer: refusal(uidOf(review), 503, message) }
}

export function reviewAdmission(review: unknown, context: ReviewContext): Review {
  const request = readAdmissionReview(review)
  if (typeof request === 'string') return { outcome: 'unreadable', message: request, answer: refusal(uidOf(review), 400, request) }
  const { uid, object } = request
  const refuse = (message: string, outcome: Review['outcome'] = 'refused', pod?: ReviewedPod): Review => ({ outcome, message, answer: refusal(uid, outcome === 'refused' ? 422 : 400, message), ...(pod === undefined ? {} : { pod }) })
  if (object === undefined || object['kind'] !== 'Pod' || !isRecord(object['spec'])) return refuse('the request’s object is no Pod', 'unreadable')
  const spec = object['spec']
  const faults = typeFaults(object, [])
  if (faults.length > 0) return refuse(faults.join('; '), 'unreadable')

  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  const namespace = request.namespace
  const owner = ownerOfPod(metadata)
  const pod: ReviewedPod = { namespace, name: String(metadata['name'] ?? metadata['generateName'] ?? ''), controller: controllerOf(metadata), dryRun: request.dryRun }
  const decided = decide(metadata, spec, namespace, context)
  if (!decided.value) return { outcome: 'skipped', decided, pod, answer: admissionAnswer({ uid, allowed: true }) }

  const injected = injectPod({ metadata, spec }, { ...context, namespace, owner })
  if ('faults' in injected) return { ...refuse(injected.faults.join('; '), 'refused', pod), decided }
  const patch = jsonPatch({ metadata, spec }, { metadata: injected.metadata, spec: injected.spec })
  // A pod template's object may stand without metadata; RFC 6902 adds nothing below what is not there.
  const operations = object['metadata'] === undefined ? [{ op: 'add', path: '/metadata', value: injected.metadata }, ...patch.filter((o) => !o.path.startsWith('/metadata'))] : patch
  const warnings = shortened([...oddWord(metadata), ...injected.warnings])
  return {
    outcome: 'injected', decided, pod,
    answer: admissionAnswer({ uid, allowed: true, ...(operations.length === 0 ? {} : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(operations)).toString('base64') }), ...(warnings.length === 0 ? {} : { warnings }) }),
  }
}

/** With the namespace's labels known, the reasons tell of them; what the injector itself says is the verdict all the same. */
function decide(metadata: Obj, spec: Obj, namespace: string, context: ReviewContext): Decided<boolean> {
  const os = isRecord(spec['os']) ? spec['os']['name'] : undefined
  const namespaceLabels = context.namespaceLabels?.(namespace) ?? {}
  const candidate = { namespace, namespaceLabels, labels: strings(metadata['labels']), annotations: strings(metadata['annotations']), hostNetwork: spec['hostNetwork'] === true, ...(typeof os === 'string' ? { os } : {}) }
  const selected = decideInjection(candidate, context.injection)
  return selected.value ? selected : injectionRequired(candidate, context.injection)
}

function oddWord(metadata: Obj): string[] {
  const word = strings(metadata['labels'])[injectKey] ?? strings(metadata['annotations'])[injectKey]
  return word === undefined || word === '' || word === 'true' || word === 'false' ? [] : [`${injectKey}: "${word}" is neither "true" nor "false"`]
}

/** The API server cuts warnings beyond 4096 characters in all, and asks for at most 120 each. */
function shortened(warnings: readonly string[]): string[] {
  return warnings.slice(0, 10).map((w) => (w.length > 250 ? `${w.slice(0, 249)}…` : w))
}

function uidOf(review: unknown): string {
  const request = isRecord(review) ? review['request'] : undefined
  return isRecord(request) && typeof request['uid'] === 'string' ? request['uid'] : ''
}
