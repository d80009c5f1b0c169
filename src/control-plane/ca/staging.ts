// One authority takes over from another in steps that lose no connection: both trusted by all, then the new one signs, then the old root goes.
// Law: pure. A signer signs only once all have heard of its root; a root goes only once nothing rests on it. Who is silent is not waited for for ever (the caller's clock).
import { parseCertificates, parseTrustBundle } from '#identity'
import { isSameCertificate, type Authority } from './authority.ts'

export interface Staging {
  /** Signs now. */
  readonly signer: Authority
  /** Shall sign; the same where nothing is under way. */
  readonly target: Authority
  /** PEM that every peer shall trust now. */
  readonly roots: string
  /** PEM of the roots that all have heard of. */
  readonly known: string
  /** `spreading`: the target's root is being made known; `draining`: certificates of the former signer are being replaced. */
  readonly step: 'steady' | 'spreading' | 'draining'
  /** Nobody may know the signer's root, and there is no other signer: until it is known nothing is signed. */
  readonly mute: boolean
  /** The step began: certificates issued from then on go along with it. */
  readonly sinceMs: number
}

/**
 * `held`: PEM of roots that peers go by, from a former life of this mesh's control plane; `former`: an authority that may have signed then.
 * Where it was replaced while no control plane ran, peers have yet to hear of the new root.
 */
export function beginStaging(authority: Authority, nowMs: number, held = '', former?: Authority): Staging {
  const known = readable(held)
  const roots = union(authority.roots, known)
  const of = (signer: Authority, mute: boolean): Staging => settle({ signer, target: authority, roots, known: known === '' ? roots : known, step: 'steady', mute, sinceMs: nowMs })
  if (known === '' || isKnown(authority, known)) return { ...of(authority, false), known: roots }
  return former !== undefined && isKnown(former, known) ? of(former, false) : of(authority, true)
}

/** Somebody put another authority in the place of the one that was to sign. */
export function offer(before: Staging, target: Authority, nowMs: number): Staging {
  const same = !before.mute && isSameCertificate(target, before.signer)
  const staging = { ...before, target, sinceMs: nowMs, ...(same || before.mute ? { signer: target } : {}), roots: union(before.roots, target.roots) }
  // Where all know its root already it signs at once: so goes a mesh whose owner takes the steps by hand.
  return same || !isKnown(target, before.known) ? settle(staging) : takeOver(staging)
}

/** All that are connected have certificates of this step, or are not waited for any longer. */
export function heard(before: Staging, nowMs: number): Staging {
  const staging = { ...before, known: before.roots, sinceMs: nowMs }
  if (before.step === 'spreading') return takeOver(staging)
  if (before.step === 'draining') return settle({ ...staging, roots: staging.target.roots, known: staging.target.roots })
  return { ...before, known: before.roots }
}

function takeOver(staging: Staging): Staging {
  return settle({ ...staging, signer: staging.target, mute: false, roots: union(staging.target.roots, staging.roots) })
}

function settle(staging: Staging): Staging {
  const { signer, target, roots, mute } = staging
  if (mute || signer !== target) return { ...staging, step: 'spreading' }
  return isSame(roots, target.roots) ? { ...staging, roots: target.roots, step: 'steady' } : { ...staging, roots: union(target.roots, roots), step: 'draining' }
}

/** A root that it signs under is one of these. */
function isKnown(authority: Authority, known: string): boolean {
  const trusted = fingerprints(known)
  const own = parseCertificates(authority.roots)
  const chain = parseCertificates([authority.certificate.toString('pem'), ...authority.intermediates].join('\n'))
  return own.some((root) => trusted.has(root.fingerprint256) && chain.some((c) => c.fingerprint256 === root.fingerprint256 || (c.checkIssued(root) && c.verify(root.publicKey))))
}

/** First's certificates in their order, then what second has beside them. */
export function union(first: string, second: string): string {
  const seen = new Set<string>()
  const all = [first, second].filter((p) => p.includes('BEGIN CERTIFICATE')).flatMap(parseCertificates)
  return all.filter((c) => !seen.has(c.fingerprint256) && seen.add(c.fingerprint256)).map((c) => c.toString().trimEnd() + '\n').join('')
}

/** What a former life wrote and somebody spoilt counts nothing. */
function readable(pem: string): string {
  try {
    return parseTrustBundle(pem).pem
  } catch {
    return ''
  }
}

function fingerprints(pem: string): Set<string> {
  return new Set(parseCertificates(pem).map((c) => c.fingerprint256))
}

function isSame(a: string, b: string): boolean {
  const [x, y] = [fingerprints(a), fingerprints(b)]
  return x.size === y.size && [...x].every((f) => y.has(f))
}
