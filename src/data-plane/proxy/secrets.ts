// The certificates and roots that SDS hands in, and files that clusters name. Law: a key is revealed only to build a TLS context; nothing here prints one.
import { X509Certificate } from 'node:crypto'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import type { Material, TlsSettings } from '#engine'
import { KithError } from '#lib/errors.ts'
import type { Revocations } from '#identity'
import { Secret } from '#lib/secret.ts'
import { identify } from './peer.ts'

export interface CertificateSecret {
  readonly kind: 'certificate'
  /** PEM, leaf first. */
  readonly chain: string
  /** PEM. */
  readonly key: Secret<string>
}

export interface TrustSecret {
  readonly kind: 'trust'
  /** PEM, one or several roots. */
  readonly roots: string
  /** PEM; then every certificate of a chain must stand in no list of its issuer. */
  readonly crl?: string
  /** Of the mesh: what these roots have vouched for, and no longer do. */
  readonly revoked?: Revocations
}

export type ProxySecret = CertificateSecret | TrustSecret

/** What a TLS context is made of, and a key under which it may be cached. */
export interface TlsMaterial {
  readonly cert?: string
  readonly key?: Secret<string>
  /** undefined: nothing is verified; '' … PEM of the roots. */
  readonly ca?: string
  readonly crl?: string
  readonly cacheKey: string
}

export class Secrets {
  readonly #byName = new Map<string, { readonly secret: ProxySecret; readonly generation: number }>()
  #generation = 0
  readonly #fileRoot: string

  /** Files are looked for below this folder first. */
  constructor(fileRoot = '') {
    this.#fileRoot = fileRoot
  }

  readonly #files = new Map<string, { readonly mtimeMs: number; readonly size: number; readonly text: string }>()

  /** @throws KithError SECRET_BROKEN, or node's error for a certificate that can't be read */
  set(name: string, secret: ProxySecret): void {
    // Whatever stands between the certificates of a bundle (nothing, comments), OpenSSL gets them clean; one that can't be read throws here.
    const pems = splitPem(secret.kind === 'certificate' ? secret.chain : secret.roots)
    if (pems.length === 0) throw new KithError('SECRET_BROKEN', `the ${secret.kind} "${name}" holds no PEM certificate`)
    for (const pem of pems) void new X509Certificate(pem)
    const clean = `${pems.join('\n')}\n`
    this.#byName.set(name, { secret: secret.kind === 'certificate' ? { ...secret, chain: clean } : { ...secret, roots: clean }, generation: ++this.#generation })
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** SPIFFE id of a certificate secret, or ''. */
  identityOf(name: string): string {
    return this.ownEnd(name)?.principal ?? ''
  }

  readonly #ends = new WeakMap<ProxySecret, { readonly principal: string; readonly notAfterMs: number }>()

  /** Who a certificate secret says that we are, and until when. */
  ownEnd(name: string): { readonly principal: string; readonly notAfterMs: number } | undefined {
    const found = this.#byName.get(name)?.secret
    if (found?.kind !== 'certificate') return undefined
    const end = this.#ends.get(found) ?? identify(new X509Certificate(found.chain))
    this.#ends.set(found, end)
    return end
  }

  /** What the authorities that this validation goes by have taken back. */
  revoked(validation: TlsSettings['validation']): Revocations | undefined {
    const roots = validation?.roots
    if (roots === undefined || roots === null || roots === 'none' || !('sds' in roots)) return undefined
    const secret = this.#byName.get(roots.sds)?.secret
    return secret?.kind === 'trust' ? secret.revoked : undefined
  }

  /** What /certs shows: names, serials, times; never a key. */
  describe(): object[] {
    return [...this.#byName].map(([name, { secret }]) => {
      const certificates = splitPem(secret.kind === 'certificate' ? secret.chain : secret.roots).map((pem) => {
        const c = new X509Certificate(pem)
        return { subjectAltName: c.subjectAltName ?? '', subject: c.subject ?? '', serialNumber: c.serialNumber, validFrom: c.validFrom, expirationTime: c.validTo, secondsLeft: Math.floor((Date.parse(c.validTo) - Date.now()) / 1000) }
      })
      return { name, kind: secret.kind, certificates }
    })
  }

  /** Throws KithError SECRET_MISSING while an SDS name has not been supplied, FILE_UNREADABLE for files. */
  material(tls: TlsSettings): TlsMaterial {
    let key = ''
    let cert: { chain: string; key: Secret<string> } | undefined
    if (tls.certificate !== undefined) {
      if ('sds' in tls.certificate && tls.certificate.sds.startsWith('file-cert:')) {
        // Istio's name for a DestinationRule's files.
        const [chainPath, keyPath] = tls.certificate.sds.slice('file-cert:'.length).split('~') as [string, string | undefined]
        const chain = this.#file(chainPath)
        const priv = this.#file(keyPath ?? '')
        cert = { chain: chain.text, key: new Secret(priv.text) }
        key += `c${chain.tag}/${priv.tag}`
      } else if ('sds' in tls.certificate) {
        const found = this.#named(tls.certificate.sds, 'certificate')
        cert = found.secret as CertificateSecret
        key += `c${found.generation}`
      } else {
        const chain = this.#text(tls.certificate.chain, 'certificate')
        const priv = this.#text(tls.certificate.key, 'certificate')
        cert = { chain: chain.text, key: new Secret(priv.text) }
        key += `c${chain.tag}/${priv.tag}`
      }
    }
    let ca: string | undefined
    let crl: string | undefined
    const roots = tls.validation?.roots
    if (roots !== undefined && roots !== 'none') {
      const found = roots === null ? { text: systemRoots(), tag: 'system' } : this.#text(roots, 'trust')
      ca = found.text
      crl = found.crl
      const listed = tls.validation?.crl
      if (listed !== undefined) {
        const more = this.#text(listed, 'trust')
        crl = crl === undefined ? more.text : `${crl}\n${more.text}`
        key += `l${more.tag}`
      }
      key += `r${found.tag}`
    }
    return { ...(cert === undefined ? {} : { cert: cert.chain, key: cert.key }), ...(ca === undefined ? {} : { ca }), ...(crl === undefined ? {} : { crl }), cacheKey: key }
  }

  #named(name: string, kind: ProxySecret['kind']): { secret: ProxySecret; generation: number } {
    const found = this.#byName.get(name)
    if (found === undefined || found.secret.kind !== kind) throw new KithError('SECRET_MISSING', `the ${kind} "${name}" has not been supplied yet`)
    return found
  }

  #text(material: Material, kind: ProxySecret['kind']): { text: string; tag: string; crl?: string } {
    if ('inline' in material) return { text: material.inline, tag: material.inline }
    if ('sds' in material) {
      if (material.sds === 'file-root:system') return { text: systemRoots(), tag: 'system' }
      if (material.sds.startsWith('file-root:')) return this.#file(material.sds.slice('file-root:'.length))
      const found = this.#named(material.sds, kind)
      const { roots, crl } = found.secret as TrustSecret
      return { text: roots, tag: String(found.generation), ...(crl === undefined ? {} : { crl }) }
    }
    return this.#file(material.file)
  }

  #file(named: string): { text: string; tag: string } {
    const path = this.#fileRoot !== '' && existsSync(this.#fileRoot + named) ? this.#fileRoot + named : named
    try {
      const { mtimeMs, size } = statSync(path)
      let held = this.#files.get(path)
      if (held === undefined || held.mtimeMs !== mtimeMs || held.size !== size) {
        held = { mtimeMs, size, text: readFileSync(path, 'utf8') }
        this.#files.set(path, held)
      }
      return { text: held.text, tag: `${path}@${mtimeMs}` }
    } catch (cause) {
      throw new KithError('FILE_UNREADABLE', `${path} cannot be read: ${(cause as Error).message}`, { cause })
    }
  }
}

export function splitPem(text: string): string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []
}

let system: string | undefined

/** The machine's own bundle where it has one, else Node's. */
function systemRoots(): string {
  if (system !== undefined) return system
  for (const path of [process.env['SSL_CERT_FILE'], '/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem']) {
    if (path === undefined || path === '') continue
    try {
      return (system = readFileSync(path, 'utf8'))
    } catch {
      continue
    }
  }
  return (system = rootCertificates.join('\n'))
}
