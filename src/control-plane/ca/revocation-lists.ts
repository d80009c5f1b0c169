// The lists of revoked certificates that come with a plugged-in authority: `ca-crl.pem` of `cacerts`, as Istio has it.
import 'reflect-metadata'
import { PemConverter, X509Certificate, X509Crl } from '@peculiar/x509'
import { KithError } from '#lib/errors.ts'
import { revocationBlocks } from '#identity'

/** The lists alone, as PEM. `authorities`: PEM of the certificates that may have signed them. Throws CA_UNREADABLE. */
export async function checkedRevocations(text: string, authorities: string, where: string): Promise<string> {
  if (text === '') return ''
  const blocks = revocationBlocks(text)
  if (blocks.length === 0) throw new KithError('CA_UNREADABLE', `ca-crl.pem in ${where} holds no list (X509 CRL)`)
  const signers = PemConverter.decode(authorities).map((der) => new X509Certificate(der))
  for (const block of blocks) {
    const list = readList(block, where)
    const checks = await Promise.all(signers.map(({ publicKey }) => list.verify({ publicKey }).catch(() => false)))
    if (!checks.includes(true)) throw new KithError('CA_UNREADABLE', `the list of ${JSON.stringify(list.issuer)} in ca-crl.pem in ${where} is signed by none of the authority's certificates`)
  }
  return `${blocks.join('\n')}\n`
}

function readList(block: string, where: string): X509Crl {
  try {
    return new X509Crl(block)
  } catch (cause) {
    throw new KithError('CA_UNREADABLE', `a list in ca-crl.pem in ${where} can't be read: ${(cause as Error).message}`, { cause })
  }
}
