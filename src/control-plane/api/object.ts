// What every object of the API is, whoever wrote it and wherever it came from.
import type { Ref } from '#lib/problem.ts'

export interface Metadata {
  readonly name: string
  /** `default` where the user left it out; '' for cluster-scoped kinds. */
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** RFC 3339, or undefined in files that do not say. */
  readonly creationTimestamp?: string
  readonly generateName?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly controller?: boolean }[]
}

/** Where an object came from. `locate` finds the place of a field: `spec.mtls.mode` → line and column, 1-based. */
export interface Origin {
  readonly file?: string
  readonly line?: number
  /** Place of the field at that path (of its value; the nearest existing parent where the field is absent). */
  locate?(path: string): { readonly line: number; readonly column: number } | undefined
}

/** A decoded object: known fields typed and defaulted, unknown ones reported as problems. */
export interface ApiObject<Kind extends string = string, Spec = unknown> {
  readonly apiVersion: string
  readonly kind: Kind
  readonly metadata: Metadata
  readonly spec: Spec
  /** The document as it was written: `status`, `data`, `endpoints` and whatever else a kind keeps beside `spec`. */
  readonly raw: Readonly<Record<string, unknown>>
  readonly origin: Origin
}

/** The Ref of a field of this object, with file and line where the origin knows them. */
export function refTo(object: { kind: string; metadata: { name: string; namespace: string }; origin: Origin }, path = ''): Ref {
  const place = object.origin.locate?.(path)
  const line = place?.line ?? object.origin.line
  return {
    kind: object.kind,
    namespace: object.metadata.namespace,
    name: object.metadata.name,
    path,
    ...(object.origin.file === undefined ? {} : { file: object.origin.file }),
    ...(line === undefined ? {} : { line }),
    ...(place === undefined ? {} : { column: place.column }),
  }
}
