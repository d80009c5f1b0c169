// What of an answer counts. A proxy before the API server may answer 200 with a sign-in page: that is no empty list and
// no object.
// Law: a body counts only with the kind that was asked for; else K8S_FAILED, and whoever asked keeps what is held. No
// message repeats a body: it may hold a secret.
import { KithError } from '#lib/errors.ts'
import type { KubernetesObject, ListPage, WatchEvent } from './types.ts'

/** What is expected of an answer. */
export interface Expected {
  readonly apiVersion: string
  readonly kind: string
  /** Where one object is asked for by its name. */
  readonly name?: string
}

export interface Page extends ListPage {
  /** '' on the last page. */
  readonly next: string
}

/** Throws K8S_FAILED, also for every check below. `asked`: `GET /api/v1/pods`, for the message. */
export function objectOf(answer: unknown, { apiVersion, kind, name }: Expected, asked: string): KubernetesObject {
  const expected = `${kind} of ${apiVersion}`
  if (!isRecord(answer) || answer['kind'] !== kind || answer['apiVersion'] !== apiVersion)
    throw failed(asked, answer, expected)
  const metadata = answer['metadata'] ?? {}
  // A review has no name, and its answer none either.
  if (!isRecord(metadata)) throw failed(asked, answer, `${expected} with metadata`)
  if (name !== undefined && metadata['name'] !== name) throw failed(asked, answer, `${expected} with the name ${name}`)
  return { ...answer, metadata } as KubernetesObject
}

/**
 * One page of a list: `<Kind>List` with a resourceVersion; of a kind that stands in no table, any `…List` of its
 * version.
 */
export function pageOf(
  answer: unknown,
  { apiVersion, kind }: Expected,
  listKind: string | undefined,
  asked: string,
): Page {
  const expected = `${listKind ?? `a list of ${kind}`} of ${apiVersion}`
  const its = isRecord(answer) && typeof answer['kind'] === 'string' ? answer['kind'] : ''
  const isList = listKind === undefined ? its.endsWith('List') : its === listKind
  if (!isRecord(answer) || !isList || answer['apiVersion'] !== apiVersion) throw failed(asked, answer, expected)
  const { metadata, items } = answer
  if (!isRecord(metadata) || !isFilled(metadata['resourceVersion']))
    throw failed(asked, answer, `${expected} with a resourceVersion`)
  // Go writes an empty list that was never made as null.
  if (items !== null && !Array.isArray(items)) throw failed(asked, answer, `${expected} with items`)
  const odd = (items ?? []).find((i) => !isItem(i, apiVersion, kind))
  if (odd !== undefined) throw failed(asked, odd, `an item of ${expected}`)
  // Items of a list carry no type of their own.
  return {
    items: (items ?? []).map((item) => ({ ...(item as object), apiVersion, kind }) as KubernetesObject),
    resourceVersion: metadata['resourceVersion'],
    next: typeof metadata['continue'] === 'string' ? metadata['continue'] : '',
  }
}

const types: readonly unknown[] = ['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']

/**
 * One event of a watch: its object is of the kind that is watched, and says at which version; a Status where the type
 * is ERROR.
 */
export function eventOf(answer: unknown, { apiVersion, kind }: Expected, asked: string): WatchEvent {
  const expected = `an event of ${kind} of ${apiVersion}`
  if (!isRecord(answer) || !types.includes(answer['type']) || !isRecord(answer['object']))
    throw failed(asked, answer, expected)
  const { type, object } = answer
  if (type === 'ERROR' ? object['kind'] === 'Status' : isVersioned(object, apiVersion, kind, type !== 'BOOKMARK'))
    return answer as unknown as WatchEvent
  throw failed(asked, object, expected)
}

/** A deletion is answered with the object, or with a Status that says so. */
export function checkDeleted(answer: unknown, expected: Expected, asked: string): true {
  if (isRecord(answer) && answer['kind'] === 'Status' && answer['status'] === 'Success') return true
  objectOf(answer, expected, asked)
  return true
}

export interface ServedResource {
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
}

/** What the API server serves of a group's version. */
export function resourcesOf(answer: unknown, asked: string): readonly ServedResource[] {
  const resources = isRecord(answer) && answer['kind'] === 'APIResourceList' ? answer['resources'] : undefined
  if (!Array.isArray(resources)) throw failed(asked, answer, 'APIResourceList')
  return resources.filter(
    (r): r is ServedResource & Record<string, unknown> =>
      isRecord(r) && typeof r['name'] === 'string' && typeof r['kind'] === 'string',
  )
}

/**
 * A refusal's own sentence, where the API server wrote it: as a Status, or (of a path that it does not know) as Go's
 * plain text.
 */
export function refusalText(text: string): string | undefined {
  if (text.trim() === '404 page not found') return text.trim()
  const status = parsed(text)
  return isRecord(status) && status['kind'] === 'Status' ? String(status['message'] ?? '') : undefined
}

/** JSON, else the text itself. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** What a body is, without a word of it. */
export function described(answer: unknown): string {
  if (typeof answer === 'string')
    return answer.trim() === ''
      ? 'empty'
      : /^\s*</.test(answer)
        ? `a page (HTML or XML) of ${answer.length} characters`
        : `text of ${answer.length} characters`
  if (!isRecord(answer)) return Array.isArray(answer) ? 'a list without a kind' : String(typeof answer)
  const { kind, apiVersion } = answer
  return typeof kind === 'string'
    ? `${kind} of ${typeof apiVersion === 'string' ? apiVersion : 'no version'}`
    : 'an object without a kind'
}

function failed(asked: string, answer: unknown, expected: string): KithError {
  return new KithError('K8S_FAILED', `${asked}: the answer is ${described(answer)}, not ${expected}`)
}

function isItem(item: unknown, apiVersion: string, kind: string): boolean {
  if (!isRecord(item) || !isRecord(item['metadata']) || !isFilled(item['metadata']['name'])) return false
  return (item['kind'] ?? kind) === kind && (item['apiVersion'] ?? apiVersion) === apiVersion
}

function isVersioned(
  object: Readonly<Record<string, unknown>>,
  apiVersion: string,
  kind: string,
  named: boolean,
): boolean {
  const { metadata } = object
  return (
    object['kind'] === kind &&
    object['apiVersion'] === apiVersion &&
    isRecord(metadata) &&
    isFilled(metadata['resourceVersion']) &&
    (!named || isFilled(metadata['name']))
  )
}

function isFilled(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
