// Envoy's configuration written as its documentation writes it; parsed strictly against the descriptors, so a misspelt field can't leave this room.
import { fromJson, type JsonObject, type JsonValue, type Message } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { createHash } from 'node:crypto'
import { canonicalJson } from '#lib/canonical.ts'
import { message, registry } from '#proto'
import type { Resource } from '#xds'

export type Json = JsonValue
export type Obj = JsonObject

/** What was made last, by content: proxies have most of their clusters in common, and a change touches few. */
const made = new Map<string, Resource>()
const mostMade = 10_000

/** The message alone, for who takes it in this process: no bytes, no version. */
export function asMessage(type: string, json: Obj): Message {
  return fromJson(message(type.slice(type.indexOf('/') + 1)), JSON.parse(JSON.stringify(json)) as Obj, { registry })
}

/** Version: a hash of the canonical JSON. Fields of maps are sorted, so that equal content has equal bytes too. */
export function resource(type: string, name: string, json: Obj): Resource {
  const canonical = canonicalJson(json)
  const digest = createHash('sha256').update(type).update(name).update(canonical).digest('hex')
  const before = made.get(digest)
  if (before !== undefined) return before
  const schema = message(type.slice(type.indexOf('/') + 1))
  const value = fromJson(schema, JSON.parse(canonical) as Obj, { registry })
  const fresh: Resource = { type, name, version: digest.slice(0, 16), any: anyPack(schema, value) }
  if (made.size >= mostMade) made.delete(made.keys().next().value as string)
  made.set(digest, fresh)
  return fresh
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
