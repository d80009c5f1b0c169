// A problem as a line that a person can act on: place first, so that editors jump there.
import type { Problem } from '#lib/problem.ts'

/** `policies.yaml:12:11: error [IST0106] PeerAuthentication foo/default: spec.mtls.mode: …; did you mean DISABLE?` */
export function formatProblem(p: Problem): string {
  const { ref } = p
  const place = ref.file === undefined ? '' : `${ref.file}${ref.line === undefined ? '' : `:${ref.line}${ref.column === undefined ? '' : `:${ref.column}`}`}: `
  const name = ref.name === '' ? '' : `${ref.kind} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}: `
  const field = ref.path === '' || p.message.includes(ref.path) ? '' : `${ref.path}: `
  return `${place}${p.severity} [${p.code}] ${name}${field}${p.message}${p.help === undefined ? '' : `; ${p.help}`}`
}
