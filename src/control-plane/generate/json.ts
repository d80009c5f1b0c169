// Envoy's configuration written as its documentation writes it; parsed strictly against the descriptors, so a misspelt field can't leave this room.
import { fromJson, toBinary, type JsonObject, type JsonValue } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { createHash } from 'node:crypto'
import { message, registry } from '#proto'
import type { Resource } from '#xds'

export type Json = JsonValue
export type Obj = JsonObject

const typeNames: Readonly<Record<string, string>> = {
  'type.googleapis.com/envoy.config.cluster.v3.Cluster': 'envoy.config.cluster.v3.Cluster',
  'type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment': 'envoy.config.endpoint.v3.ClusterLoadAssignment',
  'type.googleapis.com/envoy.config.listener.v3.Listener': 'envoy.config.listener.v3.Listener',
  'type.googleapis.com/envoy.config.route.v3.RouteConfiguration': 'envoy.config.route.v3.RouteConfiguration',
}

/** Version: the first 16 hex digits of SHA-256 over the bytes. */
export function resource(type: string, name: string, json: Obj): Resource {
  const schema = message(typeNames[type] as string)
  const value = fromJson(schema, json, { registry })
  const version = createHash('sha256').update(toBinary(schema, value)).digest('hex').slice(0, 16)
  return { type, name, version, any: anyPack(schema, value) }
}

export function typed(typeName: string, fields: Obj = {}): Obj {
  return { '@type': `type.googleapis.com/${typeName}`, ...fields }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(9).replace(/\.?0+$/, '')}s`
}

/** Without the fields that have no value. */
export function some(fields: Readonly<Record<string, Json | undefined>>): Obj {
  return Object.fromEntries(Object.entries(fields).filter((e): e is [string, Json] => e[1] !== undefined))
}
