// Messages of analyze in istioctl's form: `Error [IST0101] (VirtualService foo/reviews policies.yaml:12) …`.
import { styleText } from 'node:util'
import type { Problem, Ref } from '#lib/problem.ts'

/** `VirtualService foo/reviews`, `Namespace foo`; empty where there is no object. */
export function originText(ref: Ref): string {
  return ref.kind === '' ? '' : `${ref.kind} ${ref.namespace === '' ? '' : `${ref.namespace}/`}${ref.name}`
}

/** `policies.yaml:12` */
export function referenceText(ref: Ref): string {
  return ref.file === undefined ? '' : `${ref.file}${ref.line === undefined ? '' : `:${ref.line}`}`
}

const colours = { Error: 'red', Warning: 'yellow' } as const

/** `colour`: the level and the code in istioctl's colours. */
export function messageText(p: Problem, level: string, colour = false): string {
  const place = [originText(p.ref), referenceText(p.ref)].filter((t) => t !== '').join(' ')
  const field = p.ref.path === '' ? '' : `${p.ref.path}: `
  const head = `${level} [${p.code}]`
  const style = colours[level as keyof typeof colours]
  return `${colour && style !== undefined ? styleText(style, head, { validateStream: false }) : head} (${place}) ${field}${p.message}${p.help === undefined ? '' : `; ${p.help}`}`
}
