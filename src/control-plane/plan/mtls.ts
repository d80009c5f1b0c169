// Which mTLS mode a port of a workload takes: PeerAuthentication by mesh, namespace, workload and port.
// Istio: pilot's ComposePeerAuthentication; https://istio.io/latest/docs/reference/config/security/peer_authentication/
import { byDefault, ignore, overrule, type Decided } from '#lib/decided.ts'
import { refTo, type PeerAuthentication } from '#api'
import { selectorCovers, type Mesh, type Workload } from '#mesh'
import type { MtlsMode } from './types.ts'

type Scope = 'mesh' | 'namespace' | 'workload'

/** The policies that reach a workload, the winner of each scope first in its list. */
export interface PoliciesInForce {
  readonly mesh: readonly PeerAuthentication[]
  readonly namespace: readonly PeerAuthentication[]
  readonly workload: readonly PeerAuthentication[]
  /** Of the root namespace with a selector: they count nowhere. */
  readonly ignored: readonly PeerAuthentication[]
}

const hasSelector = (p: PeerAuthentication): boolean => Object.keys(p.spec.selector?.matchLabels ?? {}).length > 0

export function policiesFor(mesh: Mesh, workload: Pick<Workload, 'namespace' | 'labels'>): PoliciesInForce {
  const root = mesh.options.rootNamespace
  const found = { mesh: [] as PeerAuthentication[], namespace: [] as PeerAuthentication[], workload: [] as PeerAuthentication[], ignored: [] as PeerAuthentication[] }
  for (const policy of mesh.peerAuthentications) {
    const { namespace } = policy.metadata
    const selects = hasSelector(policy) && selectorCovers(policy.spec.selector?.matchLabels ?? {}, workload.labels)
    if (namespace === root) {
      if (!hasSelector(policy)) found.mesh.push(policy)
      else if (selects) found.ignored.push(policy)
    } else if (namespace === workload.namespace) {
      if (!hasSelector(policy)) found.namespace.push(policy)
      else if (selects) found.workload.push(policy)
    }
  }
  return found
}

/** The mode for a container port; `null` for ports that nothing is said about in particular. */
export function decideMtls(mesh: Mesh, workload: Pick<Workload, 'namespace' | 'labels'>, port: number | null): Decided<MtlsMode> {
  const policies = policiesFor(mesh, workload)
  let decided: Decided<MtlsMode> = byDefault<MtlsMode>('PERMISSIVE', 'mtls.default')
  for (const scope of ['mesh', 'namespace', 'workload'] as const) decided = overlay(decided, policies[scope], scope)
  const winner = policies.workload[0]
  if (winner !== undefined && port !== null) {
    const entry = winner.spec.portLevelMtls?.[String(port)]
    const path = `spec.portLevelMtls.${port}`
    if (entry?.mode !== undefined && entry.mode !== 'UNSET') decided = overrule(decided, entry.mode, 'mtls.port', refTo(winner, `${path}.mode`))
    else if (entry !== undefined) decided = ignore(decided, 'mtls.unset', refTo(winner, path))
  }
  for (const scope of ['mesh', 'namespace', 'workload'] as const) {
    for (const rival of policies[scope].slice(1)) decided = ignore(decided, 'mtls.younger-rival', refTo(rival, 'spec.mtls.mode'))
  }
  for (const policy of policies.ignored) decided = ignore(decided, 'mtls.root-selector', refTo(policy, 'spec.selector'))
  return decided
}

function overlay(before: Decided<MtlsMode>, policies: readonly PeerAuthentication[], scope: Scope): Decided<MtlsMode> {
  const winner = policies[0]
  if (winner === undefined) return before
  const mode = winner.spec.mtls?.mode
  if (mode === undefined || mode === 'UNSET') return ignore(before, 'mtls.unset', refTo(winner, 'spec.mtls'))
  return overrule(before, mode, `mtls.${scope}`, refTo(winner, 'spec.mtls.mode'))
}

/** What Istio's clients look at before anything else: the namespace's or the mesh's mode alone. */
export function namespaceMtls(mesh: Mesh, namespace: string): Decided<MtlsMode> {
  return decideMtls(mesh, { namespace, labels: {} }, null)
}

/** Ports that the workload's policy speaks of. */
export function portsWithOwnMode(mesh: Mesh, workload: Workload): number[] {
  return Object.keys(policiesFor(mesh, workload).workload[0]?.spec.portLevelMtls ?? {}).map(Number).filter((p) => p > 0 && p < 65536)
}
