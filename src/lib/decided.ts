// A decision carries its reasons: never compute a verdict and log the why; return both.
import type { Ref } from './problem.ts'

export interface Reason {
  /** A key of the rule catalogue (#api `rules`): `mtls.namespace`, `tls.auto` … */
  readonly rule: string
  readonly source: Ref | 'default'
  readonly effect: 'chosen' | 'overruled' | 'ignored'
}

/** A value together with everything that had a say in it, the winner first. */
export interface Decided<T> {
  readonly value: T
  readonly because: readonly Reason[]
}

/** What holds when nobody said anything. */
export function byDefault<T>(value: T, rule: string): Decided<T> {
  return { value, because: [{ rule, source: 'default', effect: 'chosen' }] }
}

/** A stronger rule takes over: `earlier`'s winner becomes overruled. */
export function overrule<T>(earlier: Decided<T>, value: T, rule: string, source: Ref | 'default'): Decided<T> {
  const lost = earlier.because.map((r): Reason => (r.effect === 'chosen' ? { ...r, effect: 'overruled' } : r))
  return { value, because: [{ rule, source, effect: 'chosen' }, ...lost] }
}

/** Something was looked at and had no say; the value stays. */
export function ignore<T>(decided: Decided<T>, rule: string, source: Ref | 'default'): Decided<T> {
  return { value: decided.value, because: [...decided.because, { rule, source, effect: 'ignored' }] }
}

/** The same reasons for a value derived from this one. */
export function mapDecided<A, B>(decided: Decided<A>, f: (value: A) => B): Decided<B> {
  return { value: f(decided.value), because: decided.because }
}
