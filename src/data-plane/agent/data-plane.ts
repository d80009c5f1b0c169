// What stands in the middle of a sidecar: our proxy or Envoy. The agent treats both alike.
import type { WorkloadCertificate } from './rotation.ts'

export interface DataPlane {
  /** A certificate, the first one or a renewed one; open connections stay. */
  certificate(c: WorkloadCertificate): void
  /** Begins to ask for configuration; a certificate is there. */
  begin(): Promise<void> | void
  /** Configuration and certificates are in place. */
  ready(): Promise<boolean> | boolean
  /** Prometheus text. */
  metrics(): Promise<string> | string
  /** Idle connections end, others after what is under way; new ones are still served. */
  drain(): Promise<void> | void
  /** Open connections of callers. */
  connections(): Promise<number> | number
  /** Closes everything. */
  end(): Promise<void>
}
