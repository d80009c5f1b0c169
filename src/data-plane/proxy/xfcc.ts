// X-Forwarded-Client-Cert: who called, as this proxy's own TLS has proved it. Law: what a caller claims counts only as far as the listener says, and never without mTLS.
// Source: Envoy's documentation of x-forwarded-client-cert.
import type { HttpConnection } from '#engine'
import type { PeerIdentity } from './peer.ts'

/** This hop's element: `By=…;Hash=…;Subject="…";URI=…`. */
export function clientCertElement(peer: PeerIdentity | undefined, localPrincipal: string, details: HttpConnection['clientCertDetails']): string {
  if (peer === undefined) return ''
  const parts: string[] = []
  if (localPrincipal !== '') parts.push(`By=${localPrincipal}`)
  parts.push(`Hash=${peer.fingerprint}`)
  if (details.subject) parts.push(`Subject="${peer.subject.replaceAll('"', '\\"')}"`)
  if (details.uri) for (const uri of peer.uriSans.length === 0 ? [''] : peer.uriSans) parts.push(`URI=${quoted(uri)}`)
  if (details.dns) for (const dns of peer.dnsSans) parts.push(`DNS=${quoted(dns)}`)
  return parts.join(';')
}

function quoted(value: string): string {
  return /[,;="\s]/.test(value) ? `"${value.replaceAll('"', '\\"')}"` : value
}

/** The header's value for the next hop; '' = it is removed. `received` joined by `,`. */
export function forwardedClientCert(mode: HttpConnection['clientCert'], received: string | undefined, element: string): string {
  if (mode === 'ALWAYS_FORWARD_ONLY') return received ?? ''
  if (element === '' || mode === 'SANITIZE') return ''
  switch (mode) {
    case 'FORWARD_ONLY':
      return received ?? ''
    case 'SANITIZE_SET':
      return element
    case 'APPEND_FORWARD':
      return received === undefined || received === '' ? element : `${received},${element}`
  }
}
