// The names of a certificate, as Node prints them. Odd values come quoted as JSON: unquote, never split on ", ".
import type { X509Certificate } from 'node:crypto'

export interface AltName {
  /** `URI`, `DNS`, `IP Address` … */
  readonly type: string
  readonly value: string
}

/** undefined where a name holds a NUL or control character, or the text can't be read: such a certificate names nobody. */
export function altNamesOf(certificate: X509Certificate): AltName[] | undefined {
  const text = certificate.subjectAltName ?? ''
  const names: AltName[] = []
  for (let at = 0; at < text.length; ) {
    const colon = text.indexOf(':', at)
    if (colon === -1) return undefined
    const type = text.slice(at, colon)
    let value: string
    if (text[colon + 1] === '"') {
      let end = colon + 2
      while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1
      try {
        value = JSON.parse(text.slice(colon + 1, end + 1)) as string
      } catch {
        return undefined
      }
      at = end + 1
    } else {
      const comma = text.indexOf(', ', colon)
      at = comma === -1 ? text.length : comma
      value = text.slice(colon + 1, at)
    }
    if (text.startsWith(', ', at)) at += 2
    if ([...value].some((c) => c < ' ' || c === '\x7f')) return undefined
    names.push({ type, value })
  }
  return names
}
