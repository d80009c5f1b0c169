// RE2's regular expressions: users' own run in linear time, never on JavaScript's RegExp.
// Law: loaded by the first expression. Most meshes have none, and it is three megabytes of every process.
import { createRequire } from 'node:module'
import type { RE2JS } from 're2js'

let engine: typeof RE2JS | undefined

export function re2(): typeof RE2JS {
  return (engine ??= (createRequire(import.meta.url)('re2js') as { RE2JS: typeof RE2JS }).RE2JS)
}
