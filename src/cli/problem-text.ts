// A problem as one line of text: what, where in the object, what would be right, where in the file.
import type { Problem } from '#lib/problem.ts'

/** `PeerAuthentication/foo/default: spec.mtls.mode: … ; did you mean DISABLE? (policies.yaml:12:11)`, as istioctl names objects. */
export function problemText({ ref, message, help }: Problem): string {
  const object = ref.kind === '' && ref.name === '' ? '' : `${ref.kind}/${ref.namespace}/${ref.name}: `
  const field = ref.path === '' ? '' : `${ref.path}: `
  const place = ref.file === undefined ? '' : ` (${[ref.file, ref.line, ref.column].filter((p) => p !== undefined).join(':')})`
  return `${object}${field}${message}${help === undefined ? '' : `; ${help}`}${place}`
}
