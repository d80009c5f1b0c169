// A user's mistake is data: collected, never thrown; the same value in CLI, webhook answer, status and UI.

/** Where something was written. `file` and `line` (1-based) exist for objects that came from files. */
export interface Ref {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  /** Field inside the object, in dotted form: `spec.portLevelMtls.8080`, `spec.http[0].match[1].uri`. Empty for the object itself. */
  readonly path: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
}

export type Severity = 'error' | 'warning' | 'info'

/** Something that the user should hear of. `code`: `IST0101` (Istio's analyzers) or `KITH0001` (ours). */
export interface Problem {
  readonly code: string
  readonly severity: Severity
  readonly ref: Ref
  /** One sentence: what is wrong. */
  readonly message: string
  /** What would be right, where that can be said: `did you mean "DISABLE"?` */
  readonly help?: string
}

/** `PeerAuthentication foo/default spec.mtls.mode (policies.yaml:12)` */
export function formatRef(ref: Ref): string {
  const name = ref.namespace === '' ? ref.name : `${ref.namespace}/${ref.name}`
  const path = ref.path === '' ? '' : ` ${ref.path}`
  const place = ref.file === undefined ? '' : ` (${ref.file}${ref.line === undefined ? '' : `:${ref.line}`})`
  return `${ref.kind} ${name}${path}${place}`
}
