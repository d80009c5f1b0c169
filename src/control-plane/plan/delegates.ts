// A root VirtualService hands a part of its routes to another one: their matches are joined, the delegate's values win.
// Istio: mergeVirtualServicesIfNeeded, mergeHTTPRoutes.
import { isVisible } from '#mesh'
import type { HttpMatchSpec, HttpRouteSpec, StringMatchSpec, VirtualService } from '#api'
import type { PlanContext } from './context.ts'

export interface OwnedRoute {
  readonly route: HttpRouteSpec
  /** Whose short names and lines count. */
  readonly owner: VirtualService
  readonly index: number
}

export function mergeDelegates(context: Pick<PlanContext, 'mesh'>, root: VirtualService): OwnedRoute[] {
  return (root.spec.http ?? []).flatMap((route, index): OwnedRoute[] => {
    const { delegate } = route
    if (delegate === undefined) return [{ route, owner: root, index }]
    const namespace = delegate.namespace === undefined || delegate.namespace === '' ? root.metadata.namespace : delegate.namespace
    const target = context.mesh.virtualServices.find((v) => v.metadata.name === delegate.name && v.metadata.namespace === namespace && (v.spec.hosts ?? []).length === 0)
    if (target === undefined || !isVisible(target.spec.exportTo ?? [], namespace, root.metadata.namespace, context.mesh.options.config.defaultVirtualServiceExportTo ?? [])) return []
    return (target.spec.http ?? []).flatMap((own, i): OwnedRoute[] => {
      const merged = mergeRoute(route, own)
      return merged === undefined ? [] : [{ route: merged, owner: target, index: i }]
    })
  })
}

/** undefined: the delegate's matches are not within the root's, so the route is dropped. */
function mergeRoute(root: HttpRouteSpec, own: HttpRouteSpec): HttpRouteSpec | undefined {
  const { delegate: _delegate, match: rootMatches, ...defaults } = root
  const match = mergeMatches(rootMatches ?? [], own.match ?? [])
  if (match === undefined) return undefined
  return { ...defaults, ...own, ...(match.length === 0 ? {} : { match }), ...(root.name === undefined || own.name === undefined ? {} : { name: `${root.name}-${own.name}` }) }
}

/** Each match of the delegate must lie within one of the root's, else the whole route is dropped. */
function mergeMatches(root: readonly HttpMatchSpec[], own: readonly HttpMatchSpec[]): HttpMatchSpec[] | undefined {
  if (root.length === 0) return [...own]
  if (own.length === 0) return [...root]
  const merged = own.map((o) => root.filter((r) => within(r, o)).map((r) => join(r, o)))
  return merged.some((m) => m.length === 0) ? undefined : merged.flat()
}

function within(root: HttpMatchSpec, own: HttpMatchSpec): boolean {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) if (!narrower(root[field], own[field])) return false
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const) {
    for (const [name, o] of Object.entries(own[field] ?? {})) if (!narrower(root[field]?.[name], o)) return false
  }
  if ((root.ignoreUriCase ?? false) !== (own.ignoreUriCase ?? false)) return false
  if ((root.port ?? 0) > 0 && (own.port ?? 0) > 0 && root.port !== own.port) return false
  // The root's namespace must be said again; labels and gateways need only agree.
  if ((root.sourceNamespace ?? '') !== '' && own.sourceNamespace !== root.sourceNamespace) return false
  if (Object.entries(own.sourceLabels ?? {}).some(([k, v]) => (root.sourceLabels?.[k] ?? v) !== v)) return false
  const gateways = root.gateways ?? []
  return gateways.length === 0 || (own.gateways ?? []).every((g) => gateways.includes(g))
}

/** Everything that `own` matches is matched by `root`; what is absent on either side agrees, regular expressions can't be compared. */
function narrower(root: StringMatchSpec | undefined, own: StringMatchSpec | undefined): boolean {
  if (root === undefined || own === undefined) return true
  if (root.regex !== undefined || own.regex !== undefined) return false
  if (root.exact !== undefined) return own.exact === root.exact
  return root.prefix !== undefined && (own.exact ?? own.prefix)?.startsWith(root.prefix) === true
}

function join(root: HttpMatchSpec, own: HttpMatchSpec): HttpMatchSpec {
  const maps = Object.fromEntries((['headers', 'queryParams', 'withoutHeaders', 'sourceLabels'] as const).flatMap((f) => (root[f] === undefined && own[f] === undefined ? [] : [[f, { ...root[f], ...own[f] }]]))) as Partial<HttpMatchSpec>
  const name = [root.name, own.name].filter((n) => n !== undefined && n !== '').join('-')
  return { ...root, ...own, ...maps, ...(name === '' ? {} : { name }) }
}
