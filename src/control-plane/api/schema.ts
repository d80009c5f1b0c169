// What a field may hold, written once: types, strict decoding and the CRDs' schemas all come from it.
// Law: describes shape only; what fields mean together is in the kind's own check.

interface Shared {
  readonly doc?: string
}

export type Schema<T = unknown> = SchemaNode & { readonly __type?: T }

export type SchemaNode =
  | (Shared & { readonly type: 'string' | 'boolean' | 'number' | 'any' })
  | (Shared & { readonly type: 'integer'; readonly min: number; readonly max: number })
  /** Go's or protobuf's syntax ("10s", "1.5s", "1m30s"); decoded to milliseconds. */
  | (Shared & { readonly type: 'duration' })
  | (Shared & { readonly type: 'enum'; readonly values: readonly string[] })
  | (Shared & { readonly type: 'list'; readonly item: SchemaNode })
  | (Shared & { readonly type: 'map'; readonly value: SchemaNode })
  | (Shared & {
      readonly type: 'object'
      readonly fields: Readonly<Record<string, SchemaNode>>
      /** Groups of fields of which at most one may be set. */
      readonly oneOf: readonly (readonly string[])[]
    })

export type Infer<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never

type Fields = Readonly<Record<string, Schema>>
type ObjectOf<F extends Fields> = { readonly [K in keyof F]?: Infer<F[K]> }

export const string = (doc?: string): Schema<string> => ({ type: 'string', ...(doc === undefined ? {} : { doc }) })
export const boolean = (): Schema<boolean> => ({ type: 'boolean' })
export const number = (): Schema<number> => ({ type: 'number' })
export const any = (): Schema<unknown> => ({ type: 'any' })
export const duration = (): Schema<number> => ({ type: 'duration' })
export const uint32 = (): Schema<number> => ({ type: 'integer', min: 0, max: 2 ** 32 - 1 })
export const int32 = (): Schema<number> => ({ type: 'integer', min: -(2 ** 31), max: 2 ** 31 - 1 })
export const int64 = (): Schema<number> => ({ type: 'integer', min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
export const oneOf = <const V extends readonly string[]>(...values: V): Schema<V[number]> => ({ type: 'enum', values })
export const list = <S extends Schema>(item: S): Schema<readonly Infer<S>[]> => ({ type: 'list', item })
export const map = <S extends Schema>(value: S): Schema<Readonly<Record<string, Infer<S>>>> => ({ type: 'map', value })

/** `alternatives`: groups of fields that exclude one another (protobuf's oneof). */
export function object<F extends Fields>(fields: F, ...alternatives: readonly (readonly (keyof F & string)[])[]): Schema<ObjectOf<F>> {
  return { type: 'object', fields: fields as Readonly<Record<string, SchemaNode>>, oneOf: alternatives }
}

/** A schema that refers to itself; `make` is asked at first use. */
export function lazy<T>(make: () => Schema<T>): Schema<T> {
  let made: Schema<T> | undefined
  return new Proxy({} as Schema<T> & object, { get: (_t, key) => Reflect.get((made ??= make()), key) }) as Schema<T>
}
