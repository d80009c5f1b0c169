// Which DestinationRule applies to a client's calls to a service, and what several for one host add up to.
// Istio: pilot's setDestinationRules, mergeDestinationRule, SidecarScope.DestinationRule.
import { resolveHost, mostSpecific, selectorCovers, isVisible, byAge, type Mesh, type MeshService, type Workload } from '#mesh'
import type { DestinationRule, DestinationRuleSpec, TrafficPolicy } from '#api'

type Subset = NonNullable<DestinationRuleSpec['subsets']>[number]

/** One or more rules for one host, merged: subsets add up, the first trafficPolicy counts whole. */
export interface MergedRule {
  readonly host: string
  readonly policy?: { readonly value: TrafficPolicy; readonly from: DestinationRule }
  readonly subsets: readonly { readonly value: Subset; readonly from: DestinationRule; readonly index: number }[]
  readonly from: readonly DestinationRule[]
}

interface Pool {
  /** Host → lists of rules that merge. */
  readonly hosts: Map<string, Entry[]>
}

interface Entry {
  rules: DestinationRule[]
  readonly exportTo: ReadonlySet<string>
  readonly selector: Readonly<Record<string, string>> | undefined
}

export interface DestinationRuleIndex {
  readonly local: ReadonlyMap<string, Pool>
  readonly exported: ReadonlyMap<string, Pool>
  readonly rootPrivate: Pool
}

/** One that names no label covers every workload of its namespace, which is not the same as none: such a rule is private. */
const selectorOf = (r: DestinationRule): Readonly<Record<string, string>> | undefined => (r.spec.workloadSelector === undefined || r.spec.workloadSelector === null ? undefined : (r.spec.workloadSelector.matchLabels ?? {}))

export function indexDestinationRules(mesh: Mesh): DestinationRuleIndex {
  const local = new Map<string, Pool>()
  const exported = new Map<string, Pool>()
  const rootPrivate: Pool = { hosts: new Map() }
  const pool = (of: Map<string, Pool>, namespace: string): Pool => of.get(namespace) ?? (of.set(namespace, { hosts: new Map() }).get(namespace) as Pool)
  const privateByDefault = (mesh.options.config.defaultDestinationRuleExportTo ?? []).includes('.')
  const rules = [...mesh.destinationRules].sort((a, b) => Number(selectorOf(b) !== undefined) - Number(selectorOf(a) !== undefined) || byAge(a, b))
  for (const rule of rules) {
    const { namespace } = rule.metadata
    const to = new Set(selectorOf(rule) === undefined ? (rule.spec.exportTo ?? []) : ['.'])
    if (to.size === 0 || to.has('*') || to.has('.') || to.has(namespace)) add(pool(local, namespace), rule, to, mesh)
    const isPrivate = (to.size === 0 && privateByDefault) || (to.size === 1 && (to.has('.') || to.has(namespace)))
    if (!isPrivate) add(pool(exported, namespace), rule, to, mesh)
    else if (namespace === mesh.options.rootNamespace) add(rootPrivate, rule, to, mesh)
  }
  return { local, exported, rootPrivate }
}

function add(pool: Pool, rule: DestinationRule, exportTo: ReadonlySet<string>, mesh: Mesh): void {
  const host = resolveHost(rule.spec.host ?? '', rule.metadata.namespace, mesh.options.domain)
  const entries = pool.hosts.get(host)
  const fresh: Entry = { rules: [rule], exportTo, selector: selectorOf(rule) }
  if (entries === undefined) return void pool.hosts.set(host, [fresh])
  let separate = true
  for (const entry of entries) {
    const neither = entry.selector === undefined && fresh.selector === undefined
    const both = entry.selector !== undefined && fresh.selector !== undefined
    separate = !sameSet(entry.exportTo, exportTo)
    const wider = separate && entry.exportTo.size > 0 && [...entry.exportTo].every((t) => exportTo.has(t))
    if (separate && !wider) continue
    if (both && !sameLabels(entry.selector, fresh.selector)) {
      separate = true
      continue
    }
    if (neither || both) separate = false
    // A plain rule of the same reach adds to one for chosen workloads, and stands for nobody else.
    entry.rules = [...entry.rules, rule]
  }
  if (separate) entries.push(fresh)
}

/** The rule in force for calls of `client` to `service`: own namespace, then the service's, then the root's. */
export function destinationRuleFor(mesh: Mesh, index: DestinationRuleIndex, client: Workload, service: MeshService): MergedRule | undefined {
  const entries = lookup(mesh, index, client.namespace, service)
  const host = service.host
  let general: Entry | undefined
  for (const entry of entries) {
    if (entry.selector === undefined) general = entry
    else if (client.namespace === entry.rules[0]?.metadata.namespace && selectorCovers(entry.selector, client.labels)) return merge(host, entry)
  }
  return general === undefined ? undefined : merge(host, general)
}

function lookup(mesh: Mesh, index: DestinationRuleIndex, client: string, service: MeshService): readonly Entry[] {
  const root = mesh.options.rootNamespace
  const own = inPool(client === root ? index.rootPrivate : index.local.get(client), service.host)
  if (own !== undefined) return own
  for (const owner of [service.namespace, root]) {
    const found = (inPool(index.exported.get(owner), service.host) ?? []).filter((e) => e.exportTo.size === 0 || e.exportTo.has('*') || isVisible([...e.exportTo], owner, client, []))
    if (found.length > 0) return found
  }
  return []
}

function inPool(pool: Pool | undefined, host: string): readonly Entry[] | undefined {
  if (pool === undefined) return undefined
  const pattern = mostSpecific(host, pool.hosts.keys())
  return pattern === undefined ? undefined : pool.hosts.get(pattern)
}

function merge(host: string, entry: Entry): MergedRule {
  const first = entry.rules.find((r) => r.spec.trafficPolicy !== undefined)
  const subsets = new Map<string, MergedRule['subsets'][number]>()
  for (const from of entry.rules) {
    const own = new Map<string, MergedRule['subsets'][number]>()
    from.spec.subsets?.forEach((value, index) => void own.set(value.name ?? '', own.get(value.name ?? '') ?? { value, from, index }))
    for (const [name, s] of own) if (!subsets.has(name)) subsets.set(name, s)
  }
  return { host, from: entry.rules, subsets: [...subsets.values()], ...(first?.spec.trafficPolicy === undefined ? {} : { policy: { value: first.spec.trafficPolicy, from: first } }) }
}

const sameSet = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => a.size === b.size && [...a].every((x) => b.has(x))
const sameLabels = (a: Readonly<Record<string, string>> = {}, b: Readonly<Record<string, string>> = {}): boolean =>
  Object.keys(a).length === Object.keys(b).length && Object.entries(a).every(([k, v]) => b[k] === v)
