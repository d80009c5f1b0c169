// Documents → the objects of a mesh: decoded, later ones in place of earlier ones, overlays laid over what the user wrote.
import { canonicalHash } from '#lib/canonical.ts'
import type { Problem } from '#lib/problem.ts'
import { decode, isRecord, type ApiObject } from '#api'
import type { RawDocument } from './yaml.ts'

export interface Objects {
  readonly objects: readonly ApiObject[]
  readonly problems: readonly Problem[]
}

/** An object with this annotation adds its cluster addresses to the user's object of the same name. */
export const overlayAnnotation = 'kith.dev/overlay'

/** Whether a document lays something over another object. */
export function isOverlay(value: unknown): boolean {
  const metadata = isRecord(value) && isRecord(value['metadata']) ? value['metadata'] : {}
  return isRecord(metadata['annotations']) && metadata['annotations'][overlayAnnotation] === 'true'
}

export function objectKey(object: ApiObject): string {
  return keyOf(object.apiVersion, object.kind, object.metadata.namespace, object.metadata.name)
}

/** Two objects of one key and one text have one mark: whether a control plane has read what was written is seen by it. */
export function objectMark(object: ApiObject): string {
  return `${objectKey(object)} ${canonicalHash(object.raw)}`
}

/** The version is no part of it: v1 and v1beta1 are one object. */
function keyOf(apiVersion: unknown, kind: unknown, namespace: unknown, name: unknown): string {
  return `${String(apiVersion).replace(/\/?v[^/]*$/, '')}/${String(kind)}/${String(namespace)}/${String(name)}`
}

/** `lastGood`: what held before; an object whose newer text has a fault keeps its former self. */
export function decodeObjects(documents: readonly RawDocument[], lastGood: readonly ApiObject[] = []): Objects {
  const problems: Problem[] = []
  const byKey = new Map<string, ApiObject>()
  const overlays: ApiObject[] = []
  const former = new Map(lastGood.map((o) => [objectKey(o), o]))
  for (const { value, origin } of documents) {
    const decoded = decode(value, origin)
    problems.push(...decoded.problems)
    const object = decoded.object ?? keepFormer(value, former)
    if (object === undefined) continue
    if (object.metadata.annotations[overlayAnnotation] === 'true') overlays.push(object)
    else byKey.set(objectKey(object), object)
  }
  for (const overlay of overlays) {
    const key = objectKey(overlay)
    const below = byKey.get(key)
    if (below !== undefined) byKey.set(key, { ...below, spec: { ...(below.spec as object), ...(overlay.spec as object) } })
  }
  return { objects: [...byKey.values()], problems }
}

function keepFormer(value: unknown, former: ReadonlyMap<string, ApiObject>): ApiObject | undefined {
  const key = documentKey(value)
  return key === undefined ? undefined : former.get(key)
}

/** Of a document that names an object, whether it can be decoded or not: what `objectKey` says of the object. */
export function documentKey(value: unknown): string | undefined {
  if (!isRecord(value) || !isRecord(value['metadata'])) return undefined
  const { apiVersion, kind } = value
  const { name, namespace } = value['metadata']
  return keyOf(apiVersion, kind, namespace ?? 'default', name)
}
