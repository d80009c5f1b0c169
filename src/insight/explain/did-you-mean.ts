// Names that a caller may have meant.
import { isIP } from 'node:net'
import { nearest } from '#lib/nearest.ts'
import type { Question } from './question.ts'

/** `; did you mean httpbin.bar?` where the name is nobody's and resembles one that the caller could write. */
export function didYouMean(q: Question, host: string = q.target.host): string {
  if (
    isIP(host) !== 0 ||
    (host === q.target.host && (q.resolved.service !== undefined || q.resolved.workload !== undefined))
  )
    return ''
  const names = q.mesh.services.flatMap((s) =>
    s.origin === 'entry'
      ? [s.host]
      : [
          s.host,
          `${s.name}.${s.namespace}`,
          `${s.name}.${s.namespace}.svc`,
          ...(s.namespace === q.client.namespace ? [s.name] : []),
        ],
  )
  const near = nearest(host, names)
  return near === undefined ? '' : `; did you mean ${near}?`
}
