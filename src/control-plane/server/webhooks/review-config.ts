// An AdmissionReview of one of the mesh's kinds → the answer: what `kith validate` calls an error refuses, its warnings are the API server's warnings. Pure.
// Law: what stands already can always be deleted, and its labels and finalizers changed, however wrong its spec became by a newer rule.
import { isDeepStrictEqual } from 'node:util'
import { isRecord, read, unserved, unservedSettings, type ApiObject } from '#api'
import type { Problem } from '#lib/problem.ts'
import { admissionAnswer, readAdmissionReview, refusal, type AdmissionResponse } from '#inject'
import { checkServicePorts } from '#insight/validate/service-ports.ts'

export interface ConfigReview {
  readonly answer: { readonly response: AdmissionResponse }
  readonly outcome: 'passed' | 'refused' | 'unreadable'
  /** `networking.istio.io`, `v1`, `virtualservices`: labels of the metrics. */
  readonly resource: { readonly group: string; readonly version: string; readonly resource: string }
  readonly message?: string
}

const none = { group: '', version: '', resource: '' }

/** `beyond`: what the rest of the mesh and its settings say of an object that can be read by itself. */
export function reviewConfig(review: unknown, beyond: (object: ApiObject) => readonly Problem[] = () => []): ConfigReview {
  const request = readAdmissionReview(review)
  if (typeof request === 'string') return { outcome: 'unreadable', resource: none, message: request, answer: refusal('', 400, request) }
  const { uid, object } = request
  const raw = (review as { request: Record<string, unknown> }).request
  const resource = resourceOf(raw['resource'])
  if (request.operation === 'DELETE') return { outcome: 'passed', resource, answer: admissionAnswer({ uid, allowed: true }) }
  if (object === undefined) return { outcome: 'unreadable', resource, message: 'the request has no object', answer: refusal(uid, 400, 'the request has no object') }
  const problems = problemsOf(object, beyond)
  const errors = problems.filter((p) => p.severity === 'error')
  const warnings = problems.filter((p) => p.severity === 'warning').map(sentence)
  const forced = errors.length > 0 && mayStay(object, raw['oldObject'])
  if (errors.length > 0 && !forced) {
    const message = `configuration is invalid: ${errors.length === 1 ? '' : `${errors.length} errors occurred: `}${errors.map(sentence).join('; ')}`
    return { outcome: 'refused', resource, message, answer: refusal(uid, 422, message) }
  }
  const told = [...(forced ? errors.map((e) => `not in effect: ${sentence(e)}`) : []), ...warnings].slice(0, 20)
  return { outcome: 'passed', resource, answer: admissionAnswer({ uid, allowed: true, ...(told.length === 0 ? {} : { warnings: told }) }) }
}

function problemsOf(object: Readonly<Record<string, unknown>>, beyond: (object: ApiObject) => readonly Problem[]): Problem[] {
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  // A generated name comes later than some API servers ask.
  const named = metadata['name'] === undefined && typeof metadata['generateName'] === 'string' ? { ...object, metadata: { ...metadata, name: `${metadata['generateName']}x` } } : object
  const { draft, faults, findings } = read(named, {})
  return [...faults.map((f) => f.problem), ...findings, ...(draft === undefined ? [] : [...checkServicePorts(draft), ...unserved(draft), ...unservedSettings(draft), ...beyond(draft)])]
}

/** It was let in with this spec before, or is on its way out. */
function mayStay(object: Readonly<Record<string, unknown>>, old: unknown): boolean {
  if (!isRecord(old)) return false
  const metadata = isRecord(object['metadata']) ? object['metadata'] : {}
  return metadata['deletionTimestamp'] !== undefined || isDeepStrictEqual(object['spec'], old['spec'])
}

function resourceOf(raw: unknown): ConfigReview['resource'] {
  if (!isRecord(raw)) return none
  const text = (key: string): string => (typeof raw[key] === 'string' ? raw[key] : '')
  return { group: text('group'), version: text('version'), resource: text('resource') }
}

function sentence({ ref, message, help }: Problem): string {
  return `${ref.path === '' ? '' : `${ref.path}: `}${message}${help === undefined ? '' : `; ${help}`}`
}
