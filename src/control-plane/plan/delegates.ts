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

function mergeMatches(root: readonly HttpMatchSpec[], own: readonly HttpMatchSpec[]): HttpMatchSpec[] | undefined {
  if (root.length === 0) return [...own]
  if (own.length === 0) return [...root]
  const merged = own.flatMap((o) => root.flatMap((r) => (within(r, o) ? [join(r, o)] : [])))
  return merged.length === 0 ? undefined : merged
}

function within(root: HttpMatchSpec, own: HttpMatchSpec): boolean {
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const) {
    const r = root[field]
    const o = own[field]
    if (r !== undefined && o !== undefined && !narrower(r, o)) return false
  }
  for (const field of ['headers', 'queryParams'] as const) {
    for (const [name, r] of Object.entries(root[field] ?? {})) {
      const o = own[field]?.[name]
      if (o !== undefined && !narrower(r, o)) return false
    }
  }
  return !(root.port !== undefined && own.port !== undefined && root.port !== own.port) && !(root.sourceNamespace !== undefined && own.sourceNamespace !== undefined && root.sourceNamespace !== own.sourceNamespace)
}

/** Everything that `own` matches is matched by `root`; regular expressions can't be compared. */
function narrower(root: StringMatchSpec, own: StringMatchSpec): boolean {
  if (root.regex !== undefined || own.regex !== undefined) return false
  if (root.exact !== undefined) return own.exact === root.exact
  if (root.prefix !== undefined) return (own.exact ?? own.prefix ?? '').startsWith(root.prefix)
  return true
}

function join(root: HttpMatchSpec, own: HttpMatchSpec): HttpMatchSpec {
  const maps = Object.fromEntries((['headers', 'queryParams', 'withoutHeaders', 'sourceLabels'] as const).flatMap((f) => (root[f] === undefined && own[f] === undefined ? [] : [[f, { ...root[f], ...own[f] }]]))) as Partial<HttpMatchSpec>
  return { ...root, ...own, ...maps }
}
