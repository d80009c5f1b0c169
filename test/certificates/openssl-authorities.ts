// Authorities as people make them with openssl: every encoding of names, kinds of keys, several levels. Keys are made
// anew each time.
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** As OpenSSL's string_mask: which kinds of strings names are written in. */
export const masks = { utf8: '0x2000', printable: '0x0002', t61: '0x0004', bmp: '0x0800', any: '0x2806' } as const
export const keys = {
  'P-256': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  Ed25519: ['-newkey', 'ed25519'],
  'RSA 2048': ['-newkey', 'rsa:2048'],
  'RSA 3072': ['-newkey', 'rsa:3072'],
  'RSA 4096': ['-newkey', 'rsa:4096'],
} as const

export interface Level {
  readonly subject: string
  readonly mask?: keyof typeof masks
  readonly key?: keyof typeof keys
  /** Lines of an OpenSSL extension section. Default: an authority without limits. */
  readonly extensions?: readonly string[]
  readonly digest?: 'sha1' | 'sha256'
  /** It lasts one day; the others nine. */
  readonly expired?: boolean
}

export interface Made {
  readonly cert: string
  readonly key: string
}

export const authorityExtensions = [
  'basicConstraints=critical,CA:TRUE',
  'keyUsage=critical,keyCertSign,cRLSign',
  'subjectKeyIdentifier=hash',
] as const

/** From the root down; each is signed by the one before. */
export function makeLevels(folder: string, name: string, levels: readonly Level[]): Made[] {
  const made: Made[] = []
  for (const [i, level] of levels.entries()) {
    const at = join(folder, `${name.replaceAll(/[^a-z0-9]/gi, '-')}-${i}`)
    const {
      subject,
      mask = 'utf8',
      key = 'P-256',
      extensions = authorityExtensions,
      digest = 'sha256',
      expired = false,
    } = level
    writeFileSync(
      `${at}.cnf`,
      [
        '[req]',
        'distinguished_name=dn',
        `string_mask=MASK:${masks[mask]}`,
        'prompt=no',
        '[dn]',
        '[ext]',
        ...extensions,
        '',
      ].join('\n'),
    )
    const days = ['-days', expired ? '1' : '9']
    const common = [
      '-config',
      `${at}.cnf`,
      ...keys[key],
      '-noenc',
      '-keyout',
      `${at}.key`,
      '-subj',
      subject,
      '-utf8',
      ...(key === 'Ed25519' ? [] : [`-${digest}`]),
    ]
    const signer =
      i === 0
        ? []
        : [
            '-CA',
            join(folder, `${name.replaceAll(/[^a-z0-9]/gi, '-')}-${i - 1}.pem`),
            '-CAkey',
            join(folder, `${name.replaceAll(/[^a-z0-9]/gi, '-')}-${i - 1}.key`),
          ]
    openssl(['req', '-x509', ...common, '-extensions', 'ext', ...days, ...signer, '-out', `${at}.pem`])
    made.push({ cert: readFileSync(`${at}.pem`, 'utf8'), key: readFileSync(`${at}.key`, 'utf8') })
  }
  return made
}

/** The Secret `cacerts` of it, as Istio's page says. */
export function cacerts(levels: readonly Made[]): Record<string, string> {
  const [root, signer] = [levels[0] as Made, levels.at(-1) as Made]
  return {
    'ca-cert.pem': signer.cert,
    'ca-key.pem': signer.key,
    'root-cert.pem': root.cert,
    'cert-chain.pem': levels
      .toReversed()
      .map((l) => l.cert)
      .join(''),
  }
}

export function opensslMissing(): boolean {
  return spawnSync('openssl', ['version'], { stdio: 'ignore' }).status !== 0
}

function openssl(args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
}
