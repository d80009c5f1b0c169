// Certificates that their authority has taken back: lists as RFC 5280 section 5 has them (PEM, "X509 CRL").
// Law: a list refuses what it names, and nothing else. One that is missing, or that ended without a next, takes no connection along; what it named stays refused.
import type { X509Certificate } from 'node:crypto'
import { KithError } from '#lib/errors.ts'

export interface Revocations {
  /** How many certificates are named. */
  readonly count: number
  /** When the first of the lists should have had its next (epoch, ms); Infinity where none says. */
  readonly nextMs: number
  /** Which one counts no more: the certificate, or an authority that it is signed under, as far as the peer has shown its chain. undefined: none is named. */
  named(certificate: X509Certificate): string | undefined
}

const block = /-----BEGIN X509 CRL-----[A-Za-z0-9+/=\s]+-----END X509 CRL-----/g
const keyId = '2.5.29.35'

/** The lists of a text, as they stand in it. */
export function revocationBlocks(pem: string): readonly string[] {
  return pem.match(block) ?? []
}

/** Serial numbers are numbers: however they are written. */
const numberOf = (serial: string): string => BigInt(`0x${serial}`).toString(16)

/** Throws BUNDLE_INVALID. The library that reads them is loaded here: most meshes have no such list, and a sidecar shall be small. */
export async function readRevocations(pem: string): Promise<Revocations> {
  await import('reflect-metadata')
  const { AuthorityKeyIdentifierExtension, X509Certificate: Readable, X509Crl } = await import('@peculiar/x509')
  const authorityOf = (of: { getExtension(type: string): unknown }): string | undefined => {
    const found = of.getExtension(keyId)
    return found instanceof AuthorityKeyIdentifierExtension ? found.keyId : undefined
  }
  try {
    const lists = revocationBlocks(pem).map((text) => new X509Crl(text))
    const bySerial = Map.groupBy(lists.flatMap((list) => list.entries.map(({ serialNumber }) => ({ list, serial: numberOf(serialNumber) }))), ({ serial }) => serial)
    const isNamed = (certificate: X509Certificate): boolean => {
      const found = bySerial.get(numberOf(certificate.serialNumber))
      if (found === undefined) return false
      const own = new Readable(certificate.raw)
      // Authorities may share a name while one takes over from another: where both say whose key signed, that decides too.
      return found.some(({ list }) => list.issuer === own.issuer && (authorityOf(list) === undefined || authorityOf(own) === undefined || authorityOf(list) === authorityOf(own)))
    }
    return {
      count: bySerial.size,
      nextMs: Math.min(...lists.map(({ nextUpdate }) => nextUpdate?.getTime() ?? Infinity)),
      named(certificate) {
        for (let c: X509Certificate | undefined = certificate, i = 0; c !== undefined && i < 10; c = c.issuerCertificate, i++) if (isNamed(c)) return c === certificate ? `certificate ${c.serialNumber}` : `the authority’s certificate ${c.serialNumber}`
        return undefined
      },
    }
  } catch (cause) {
    throw new KithError('BUNDLE_INVALID', `a revocation list can’t be read: ${(cause as Error).message}`, { cause })
  }
}

/** What holds of texts that come one after another: the last to come counts, whichever is read first. */
export class HeldRevocations {
  #text = ''
  #held: Revocations | undefined

  /** undefined: nothing is taken back. */
  get held(): Revocations | undefined {
    return this.#held
  }

  /** PEM; '' takes all back that was said. Whether something else holds now. Throws BUNDLE_INVALID, and what held goes on. */
  async take(pem: string): Promise<boolean> {
    if (pem === this.#text) return false
    this.#text = pem
    const next = pem === '' ? undefined : await readRevocations(pem)
    if (pem !== this.#text) return false
    this.#held = next
    return true
  }
}
