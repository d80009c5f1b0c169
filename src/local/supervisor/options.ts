// What the outside tells the inside: one JSON argument.
import type { LocalMode } from '../types.ts'

export interface SupervisorOptions {
  readonly dir: string
  readonly stateDir: string
  readonly mode: LocalMode
  readonly modeReason?: string
  readonly proxy?: 'kith' | 'envoy'
  /** The package's own folder, for its programs. */
  readonly programs: { readonly controlPlane: string; readonly agent: string }
  /** Whether users other than our own exist in the sandbox, so that the sidecar can have its own. */
  readonly ownUsers: boolean
}
