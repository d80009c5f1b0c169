// xDS resources → RuntimeConfig. Law: every error of every resource is collected, nothing throws; whoever calls decides (and NACKs).
import { fromBinary, type Message } from '@bufbuild/protobuf'
import type { Any } from '@bufbuild/protobuf/wkt'
import { message } from '#proto'
import { formatAddress } from './address.ts'
import { compileCluster, type RuntimeCluster } from './clusters.ts'
import { compileEndpoints, type RuntimeEndpoints } from './endpoints.ts'
import { compileListener, type RuntimeListener } from './listeners.ts'
import { Notes, type CompileProblem } from './notes.ts'
import { compileRouteTable, type RuntimeRoutes } from './routes.ts'
import type { Cluster } from '../../../generated/types/envoy/config/cluster/v3/cluster_pb.ts'
import type { ClusterLoadAssignment } from '../../../generated/types/envoy/config/endpoint/v3/endpoint_pb.ts'
import type { Listener } from '../../../generated/types/envoy/config/listener/v3/listener_pb.ts'
import type { RouteConfiguration } from '../../../generated/types/envoy/config/route/v3/route_pb.ts'

export const listenerUrl = 'type.googleapis.com/envoy.config.listener.v3.Listener'
export const clusterUrl = 'type.googleapis.com/envoy.config.cluster.v3.Cluster'
export const routeUrl = 'type.googleapis.com/envoy.config.route.v3.RouteConfiguration'
export const endpointUrl = 'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment'

/** One xDS resource as it came. */
export interface CompileInput {
  /** Type URL. */
  readonly type: string
  readonly name: string
  readonly any: Any
}

/** One that was made in this process, and never was bytes. */
export interface DecodedInput {
  readonly type: string
  readonly name: string
  readonly message: Message
}

export interface RuntimeConfig {
  readonly listeners: ReadonlyMap<string, RuntimeListener>
  /** `0.0.0.0:8000` → listener: what `use_original_dst` looks up. */
  readonly byAddress: ReadonlyMap<string, RuntimeListener>
  readonly routes: ReadonlyMap<string, RuntimeRoutes>
  readonly clusters: ReadonlyMap<string, RuntimeCluster>
  /** By EDS name. */
  readonly endpoints: ReadonlyMap<string, RuntimeEndpoints>
}

export interface Compiled {
  readonly config: RuntimeConfig
  /** Any of these is a reason to NACK; the broken resource is not in `config`. */
  readonly errors: readonly CompileProblem[]
  /** Understood, but not served: to be logged, shown, never hidden. */
  readonly unserved: readonly CompileProblem[]
}

export const emptyConfig: RuntimeConfig = { listeners: new Map(), byAddress: new Map(), routes: new Map(), clusters: new Map(), endpoints: new Map() }

interface Piece {
  readonly value: unknown
  readonly errors: readonly CompileProblem[]
  readonly unserved: readonly CompileProblem[]
}

/** A resource that has been compiled once isn't again, as long as its Any (or message) lives: resources are immutable. */
const compiledBefore = new WeakMap<Any | Message, Piece>()

/** `resources`: everything that the proxy holds (LDS, CDS, RDS, EDS), not a delta. */
export function compile(resources: Iterable<CompileInput | DecodedInput>): Compiled {
  const listeners = new Map<string, RuntimeListener>()
  const byAddress = new Map<string, RuntimeListener>()
  const routes = new Map<string, RuntimeRoutes>()
  const clusters = new Map<string, RuntimeCluster>()
  const endpoints = new Map<string, RuntimeEndpoints>()
  const errors: CompileProblem[] = []
  const unserved: CompileProblem[] = []
  for (const resource of resources) {
    const given = 'message' in resource ? resource.message : resource.any
    let piece = compiledBefore.get(given)
    if (piece === undefined) compiledBefore.set(given, (piece = compileOne(resource)))
    errors.push(...piece.errors)
    unserved.push(...piece.unserved)
    if (piece.value === undefined || piece.errors.length > 0) continue
    switch (resource.type) {
      case listenerUrl: {
        const listener = piece.value as RuntimeListener
        listeners.set(resource.name, listener)
        for (const address of [listener.address, ...listener.additional]) byAddress.set(formatAddress(address), listener)
        break
      }
      case clusterUrl:
        clusters.set(resource.name, piece.value as RuntimeCluster)
        break
      case routeUrl:
        routes.set(resource.name, piece.value as RuntimeRoutes)
        break
      case endpointUrl:
        endpoints.set(resource.name, piece.value as RuntimeEndpoints)
        break
    }
  }
  return { config: { listeners, byAddress, routes, clusters, endpoints }, errors, unserved }
}

function compileOne(resource: CompileInput | DecodedInput): Piece {
  const notes = new Notes()
  notes.resource(resource.type, resource.name)
  let value: unknown
  try {
    value = compileByType(resource, notes)
  } catch (cause) {
    notes.error(`cannot be decoded: ${(cause as Error).message}`)
  }
  return { value, errors: notes.errors, unserved: notes.unserved }
}

function compileByType(resource: CompileInput | DecodedInput, notes: Notes): unknown {
  const decode = <T extends Message>(typeName: string): T => ('message' in resource ? (resource.message as T) : fromBinary(message<T>(typeName), resource.any.value))
  if ('any' in resource && resource.any.typeUrl !== resource.type) notes.error(`holds ${resource.any.typeUrl} where ${resource.type} belongs`)
  switch (resource.type) {
    case listenerUrl:
      return compileListener(decode<Listener>('envoy.config.listener.v3.Listener'), notes)
    case clusterUrl:
      return compileCluster(decode<Cluster>('envoy.config.cluster.v3.Cluster'), notes)
    case routeUrl:
      return compileRouteTable(decode<RouteConfiguration>('envoy.config.route.v3.RouteConfiguration'), notes)
    case endpointUrl:
      return compileEndpoints(decode<ClusterLoadAssignment>('envoy.config.endpoint.v3.ClusterLoadAssignment'), notes)
    default:
      notes.error(`resources of type ${resource.type} are unknown`)
      return undefined
  }
}

/** A route table on its own: what explain drives. */
export function compileRoutes(table: RouteConfiguration): { readonly routes: RuntimeRoutes; readonly errors: readonly CompileProblem[]; readonly unserved: readonly CompileProblem[] } {
  const notes = new Notes()
  notes.resource(routeUrl, table.name)
  return { routes: compileRouteTable(table, notes), errors: notes.errors, unserved: notes.unserved }
}
