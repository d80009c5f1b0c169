// One xDS resource: its type, name, version and bytes; and the order in which a proxy must hear of them.
import type { Any } from '@bufbuild/protobuf/wkt'

export const typeUrls = {
  cluster: 'type.googleapis.com/envoy.config.cluster.v3.Cluster',
  endpoint: 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment',
  listener: 'type.googleapis.com/envoy.config.listener.v3.Listener',
  secret: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  route: 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration',
} as const

/** Every type that is served. */
export const servedTypes: ReadonlySet<string> = new Set(Object.values(typeUrls))

/** Make before break: a cluster before the endpoints and routes that need it, a listener after its clusters. */
export const pushOrder: readonly string[] = [typeUrls.cluster, typeUrls.endpoint, typeUrls.listener, typeUrls.route]

export interface Resource {
  /** Type URL. */
  readonly type: string
  readonly name: string
  /** A hash of the content: equal content, equal version. */
  readonly version: string
  readonly any: Any
}
