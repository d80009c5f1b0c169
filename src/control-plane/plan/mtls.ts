// Which mTLS mode a port of a workload takes: PeerAuthentication by mesh, namespace, workload and port.
// Istio: pilot's ComposePeerAuthentication; https://istio.io/latest/docs/reference/config/security/peer_authentication/
import { byDefault, ignore, overrule, type Decided } from '#lib/decided.ts'
import { refTo, type PeerAuthentication } from '#api'
import { byAge, selectorCovers, type Mesh, type Workload } from '#mesh'
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

const selectorOf = (p: PeerAuthentication): Readonly<Record<string, string>> => p.spec.selector?.matchLabels ?? {}

interface NamespacePolicies {
  /** Without a selector, the winner first. */
  readonly general: PeerAuthentication[]
  /** Under the first label of their selector: a workload that they cover has it. */
  readonly byLabel: Map<string, PeerAuthentication[]>
}

/** Derived from an immutable snapshot alone; so are the answers kept beside it. */
const indices = new WeakMap<Mesh, { readonly byNamespace: ReadonlyMap<string, NamespacePolicies>; readonly answers: WeakMap<object, Map<string, PoliciesInForce>> }>()

function indexOf(mesh: Mesh): NonNullable<ReturnType<(typeof indices)['get']>> {
  const known = indices.get(mesh)
  if (known !== undefined) return known
  const byNamespace = new Map<string, NamespacePolicies>()
  for (const policy of mesh.peerAuthentications) {
    const { namespace } = policy.metadata
    const own = byNamespace.get(namespace) ?? { general: [], byLabel: new Map<string, PeerAuthentication[]>() }
    byNamespace.set(namespace, own)
    const first = Object.entries(selectorOf(policy))[0]
    if (first === undefined) own.general.push(policy)
    else own.byLabel.set(first.join('\0'), [...(own.byLabel.get(first.join('\0')) ?? []), policy])
  }
  const index = { byNamespace, answers: new WeakMap<object, Map<string, PoliciesInForce>>() }
  indices.set(mesh, index)
  return index
}

export function policiesFor(mesh: Mesh, workload: Pick<Workload, 'namespace' | 'labels'>): PoliciesInForce {
  const { byNamespace, answers } = indexOf(mesh)
  const known = answers.get(workload.labels) ?? new Map<string, PoliciesInForce>()
  answers.set(workload.labels, known)
  const before = known.get(workload.namespace)
  if (before !== undefined) return before
  const root = mesh.options.rootNamespace
  const selecting = (namespace: string): PeerAuthentication[] => {
    const { byLabel } = byNamespace.get(namespace) ?? { byLabel: new Map<string, PeerAuthentication[]>() }
    return Object.entries(workload.labels).flatMap((label) => byLabel.get(label.join('\0')) ?? []).filter((p) => selectorCovers(selectorOf(p), workload.labels)).sort(byAge)
  }
  const inRoot = workload.namespace === root
  const found: PoliciesInForce = {
    mesh: byNamespace.get(root)?.general ?? [], namespace: inRoot ? [] : (byNamespace.get(workload.namespace)?.general ?? []), workload: inRoot ? [] : selecting(workload.namespace), ignored: selecting(root),
  }
  known.set(workload.namespace, found)
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
export function portsWithOwnMode(mesh: Mesh, workload: Pick<Workload, 'namespace' | 'labels'>): number[] {
  return Object.keys(policiesFor(mesh, workload).workload[0]?.spec.portLevelMtls ?? {}).map(Number).filter((p) => p > 0 && p < 65536)
}
