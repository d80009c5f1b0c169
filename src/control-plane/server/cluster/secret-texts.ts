// A Secret's data as texts by name, and back: the API server has it in base64.
import type { KubernetesObject } from '#lib/kubernetes/types.ts'
import { isRecord } from '#api'

/** Of the API server's own; what is no text is left out. */
export function textsOf(secret: KubernetesObject | undefined): Record<string, string> {
  const data = isRecord(secret?.['data']) ? secret['data'] : {}
  return Object.fromEntries(Object.entries(data).flatMap(([name, value]) => (typeof value === 'string' ? [[name, Buffer.from(value, 'base64').toString('utf8')]] : [])))
}

/** `data` to send. `null`, as a merge patch knows it, stays: the name is taken away. */
export function dataOf(texts: Readonly<Record<string, string | null>>): Record<string, string | null> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, text === null ? null : Buffer.from(text).toString('base64')]))
}
