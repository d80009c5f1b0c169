// Whether a chain leads to a root as Go's crypto/x509 sees it: the API server and every Go client of this mesh judge
// so.
// OpenSSL is more lenient (it compares names by meaning, not by bytes); what holds here holds there too.
// https://pkg.go.dev/crypto/x509#Certificate.Verify, https://www.rfc-editor.org/rfc/rfc5280#section-6
import type { X509Certificate } from 'node:crypto'
import { altNamesOf } from './alt-names.ts'
import { certificateFields, keyCertSign } from './certificate-fields.ts'
import { forbiddenName, type IssuedName } from './name-constraints.ts'
import { timeProblem } from './trust-bundle.ts'

export interface StrictCheck {
  /** What else may stand between the first certificate and a root, in any order. */
  readonly intermediates: readonly X509Certificate[]
  readonly roots: readonly X509Certificate[]
  readonly nowMs: number
  /** The first is an authority that is to sign, not an end. */
  readonly authority?: boolean
}

/** Of both sides of TLS: an authority that is limited to one of them can't sign for a mesh. */
const usages = ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']
const anyUsage = '2.5.29.37.0'
/** SHA-256, -384 and -512 with RSA (PKCS #1 and PSS) and ECDSA; Ed25519. */
const signatureAlgorithms = new Set([
  '1.2.840.113549.1.1.10',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.3.101.112',
])
const curves = new Set(['prime256v1', 'secp384r1', 'secp521r1'])
const leastRsaBits = 2048
/** Beyond this a chain is a mistake, and looking for a way through it costs. */
const mostSteps = 64

interface Walk extends StrictCheck {
  readonly names: readonly IssuedName[]
  steps: number
}

/** Why `first` leads to no root; undefined: it does. Throws where a certificate's bytes can't be read. */
export function strictChainProblem(first: X509Certificate, check: StrictCheck): string | undefined {
  const names = check.authority === true ? [] : issuedNames(first)
  if (names === undefined) return 'its names can’t be read'
  const walk: Walk = { ...check, names, steps: 0 }
  // What is to sign is judged as the signer of a leaf would be.
  const own = check.authority === true ? signerProblem(first, 0, walk) : endProblem(first, check.nowMs)
  if (own !== undefined) return own
  if (check.authority === true && check.roots.some((r) => r.raw.equals(first.raw))) return undefined
  return onwards(first, check.authority === true ? 1 : 0, [first], walk)
}

/** From `child` up: the reason of the way that led furthest. `below`: authorities under the next signer. */
function onwards(
  child: X509Certificate,
  below: number,
  seen: readonly X509Certificate[],
  walk: Walk,
): string | undefined {
  if (++walk.steps > mostSteps) return 'the chain is too long to be followed'
  const { issuer } = certificateFields(child)
  const isCandidate = (c: X509Certificate): boolean =>
    certificateFields(c).subject.equals(issuer) && !seen.some((s) => s.raw.equals(c.raw))
  let reason: string | undefined
  for (const root of walk.roots.filter(isCandidate)) {
    const problem = signerProblem(root, below, walk) ?? signatureProblem(child, root)
    if (problem === undefined) return undefined
    reason ??= problem
  }
  for (const next of walk.intermediates.filter(isCandidate)) {
    const problem =
      signerProblem(next, below, walk) ??
      signatureProblem(child, next) ??
      onwards(next, below + 1, [...seen, next], walk)
    if (problem === undefined) return undefined
    reason ??= problem
  }
  return reason ?? unknownIssuer(child, walk)
}

function unknownIssuer(child: X509Certificate, { roots, intermediates }: Walk): string {
  // The same name in another encoding looks the same wherever it is printed.
  const similar = [...roots, ...intermediates].find(
    (c) =>
      (c.subject ?? '') === (child.issuer ?? '') &&
      !certificateFields(c).subject.equals(certificateFields(child).issuer),
  )
  const named = `the issuer ${JSON.stringify(child.issuer ?? '')} is not trusted: it`
  return similar === undefined
    ? `${named} is neither a root nor an intermediate that is at hand`
    : `${named} is written in other bytes than the subject of the authority of that name`
}

function endProblem(end: X509Certificate, nowMs: number): string | undefined {
  const { issuer, subject } = certificateFields(end)
  // Go would go on to look for the root; OpenSSL does not.
  if (issuer.equals(subject)) return 'its issuer and its subject are the same, so OpenSSL takes it for self-signed'
  return timeProblem(end, nowMs) ?? formProblem(end)
}

function signerProblem(signer: X509Certificate, below: number, { nowMs, names }: Walk): string | undefined {
  const { basicConstraints, keyUsage, extendedKeyUsage, nameConstraints, version } = certificateFields(signer)
  const who = `the authority ${JSON.stringify(signer.subject ?? '')}`
  const late = timeProblem(signer, nowMs)
  if (late !== undefined) return `${who}: ${late}`
  const odd = formProblem(signer)
  if (odd !== undefined) return `${who}: ${odd}`
  if (version === 3 ? basicConstraints?.ca !== true : basicConstraints !== undefined && !basicConstraints.ca)
    return `${who} may not sign certificates: its basic constraints do not say CA:TRUE`
  if (keyUsage !== undefined && !keyUsage.has(keyCertSign))
    return `${who} may not sign certificates: its key usage lacks keyCertSign`
  const limit = basicConstraints?.pathLength
  if (limit !== undefined && below > limit)
    return `${who} allows ${limit} authorities below it, there ${below === 1 ? 'is' : 'are'} ${below}`
  if (
    extendedKeyUsage !== undefined &&
    !extendedKeyUsage.has(anyUsage) &&
    !usages.every((u) => extendedKeyUsage.has(u))
  )
    return `${who} may not sign for both clients and servers: its extended key usage lacks one of them`
  const forbidden = nameConstraints === undefined ? undefined : forbiddenName(nameConstraints, names)
  if (forbidden !== undefined) return `${who} may not sign for ${forbidden}: its name constraints forbid it`
  return keyProblem(signer)
}

function formProblem(certificate: X509Certificate): string | undefined {
  const { unknownCritical, oddStrings } = certificateFields(certificate)
  if (unknownCritical.length > 0) return `the critical extension ${unknownCritical[0]} is not known to verifiers`
  return oddStrings.length === 0 ? undefined : `its names hold a ${oddStrings[0]}, which Go does not read`
}

function keyProblem({ publicKey, subject }: X509Certificate): string | undefined {
  const { modulusLength = 0, namedCurve = '' } = publicKey.asymmetricKeyDetails ?? {}
  const kind = publicKey.asymmetricKeyType ?? ''
  if (kind === 'rsa' ? modulusLength >= leastRsaBits : kind === 'ec' ? curves.has(namedCurve) : kind === 'ed25519')
    return undefined
  const key = `${kind} ${kind === 'rsa' ? `with ${modulusLength} bits` : namedCurve}`
  return `the authority ${JSON.stringify(subject ?? '')} has a key of the kind ${key}, which verifiers do not take`
}

function signatureProblem(child: X509Certificate, signer: X509Certificate): string | undefined {
  const { signatureAlgorithm } = certificateFields(child)
  const what = `certificate ${JSON.stringify(child.subject ?? '')}`
  if (!signatureAlgorithms.has(signatureAlgorithm))
    return `the ${what} is signed by the algorithm ${signatureAlgorithm}, which verifiers do not take (SHA-1, for one)`
  const by = JSON.stringify(signer.subject ?? '')
  return child.verify(signer.publicKey) ? undefined : `the signature of the ${what} was not made by ${by}`
}

function issuedNames(certificate: X509Certificate): IssuedName[] | undefined {
  return altNamesOf(certificate)?.flatMap(({ type, value }): IssuedName[] =>
    type === 'DNS' ? [{ type: 'dns', value }] : type === 'URI' ? [{ type: 'uri', value }] : [],
  )
}
