// What a field may hold, written once: types, strict decoding and the CRDs' schemas all come from it.
// Law: describes shape only, as the CRDs do; what fields mean together is in the kind's own check (checks/).

/** A rule as the CRD has it in CEL, and the same in TypeScript. */
export interface SchemaRule {
  readonly cel: string
  readonly message: string
  /** Whether the decoded value keeps the rule. */
  readonly holds: (value: never) => boolean
}

interface Shared {
  readonly doc?: string
  /** The CRD takes null as well, which says nothing (protobuf's wrapper types). */
  readonly nullable?: true
  readonly rules?: readonly SchemaRule[]
}

export interface StringLimits { readonly minLength?: number; readonly maxLength?: number; readonly pattern?: string }
export interface NumberLimits { readonly min?: number; readonly max?: number }
export interface ListLimits { readonly minItems?: number; readonly maxItems?: number; /** No two items share this field's value. */ readonly uniqueBy?: string }
export interface MapLimits { readonly minProperties?: number; readonly maxProperties?: number; /** The keys are numbers, written as text. */ readonly numbered?: true }

export type Schema<T = unknown> = SchemaNode & { readonly __type?: T }

export type SchemaNode =
  | (Shared & { readonly type: 'boolean' | 'any' })
  | (Shared & { readonly type: 'string' } & StringLimits)
  | (Shared & { readonly type: 'number' } & NumberLimits)
  | (Shared & { readonly type: 'integer'; readonly min: number; readonly max: number })
  /** Go's or protobuf's syntax ("10s", "1.5s", "1m30s"); decoded to milliseconds. */
  | (Shared & { readonly type: 'duration'; readonly minMs: number; /** Nobody but the CRD looks at its size. */ readonly loose?: true })
  | (Shared & { readonly type: 'enum'; readonly values: readonly string[] })
  | (Shared & { readonly type: 'list'; readonly item: SchemaNode } & ListLimits)
  | (Shared & { readonly type: 'map'; readonly value: SchemaNode } & MapLimits)
  | (Shared & {
      readonly type: 'object'
      readonly fields: Readonly<Record<string, SchemaNode>>
      readonly required?: readonly string[]
      /** Groups of fields of which at most one may be set. */
      readonly oneOf: readonly (readonly string[])[]
    })

export type Infer<S> = S extends { readonly __type?: infer T } ? Exclude<T, undefined> : never

type Fields = Readonly<Record<string, Schema>>
type ObjectOf<F extends Fields> = { readonly [K in keyof F]?: Infer<F[K]> }

export const string = (limits: StringLimits = {}): Schema<string> => ({ type: 'string', ...limits })
export const boolean = (): Schema<boolean> => ({ type: 'boolean' })
export const number = (limits: NumberLimits = {}): Schema<number> => ({ type: 'number', ...limits })
export const any = (): Schema<unknown> => ({ type: 'any' })
/** `minMs`: the CRDs ask for 1 ms wherever 0 has no meaning of its own. */
export const duration = (minMs = 1): Schema<number> => ({ type: 'duration', minMs })
export const looseDuration = (minMs = 0): Schema<number> => ({ type: 'duration', minMs, loose: true })
export const whole = (min: number, max: number): Schema<number> => ({ type: 'integer', min, max })
export const uint32 = (): Schema<number> => ({ type: 'integer', min: 0, max: 2 ** 32 - 1 })
export const int32 = (): Schema<number> => ({ type: 'integer', min: -(2 ** 31), max: 2 ** 31 - 1 })
export const int64 = (): Schema<number> => ({ type: 'integer', min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER })
export const oneOf = <const V extends readonly string[]>(...values: V): Schema<V[number]> => ({ type: 'enum', values })
export const list = <S extends Schema>(item: S, limits: ListLimits = {}): Schema<readonly Infer<S>[]> => ({ type: 'list', item, ...limits })
export const map = <S extends Schema>(value: S, limits: MapLimits = {}): Schema<Readonly<Record<string, Infer<S>>>> => ({ type: 'map', value, ...limits })

/** `alternatives`: groups of fields that exclude one another (protobuf's oneof). */
export function object<F extends Fields>(fields: F, ...alternatives: readonly (readonly (keyof F & string)[])[]): Schema<ObjectOf<F>> {
  return { type: 'object', fields: fields as Readonly<Record<string, SchemaNode>>, oneOf: alternatives }
}

/** The same object, which must have these fields. */
export function required<T>(schema: Schema<T>, ...fields: readonly (keyof T & string)[]): Schema<T> {
  return { ...schema, required: fields } as Schema<T>
}

/** The same schema with a rule: `cel` for the CRD, `holds` for us, `message` for the user. */
export function rule<T>(schema: Schema<T>, message: string, cel: string, holds: (value: T) => boolean): Schema<T> {
  return { ...schema, rules: [...(schema.rules ?? []), { message, cel, holds }] }
}

/** The same, or null: as if the field were left out. */
export function nullable<T>(schema: Schema<T>): Schema<T> {
  return { ...schema, nullable: true }
}
