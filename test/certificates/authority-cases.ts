// Authorities, from the root down: those that a mesh can live under, and those that verifiers would not take.
import { authorityExtensions, type Level } from './openssl-authorities.ts'

export const good: Readonly<Record<string, readonly Level[]>> = {
  'UTF8, as openssl writes it': [{ subject: '/O=Corp/CN=Corp Root' }],
  'UTF8 beyond ASCII': [{ subject: '/C=DE/O=Würth & Söhne/CN=Wurzel 根' }],
  Printable: [{ subject: '/O=Corp/CN=Corp Root', mask: 'printable' }],
  BMP: [{ subject: '/O=Corp/CN=Corp Root 根', mask: 'bmp' }],
  'T61, which is Teletex': [{ subject: '/O=Société/CN=Corp Root', mask: 't61' }],
  'IA5 in DC and e-mail': [{ subject: '/DC=com/DC=corp/CN=Corp Root/emailAddress=pki@corp.example' }],
  'several values in one RDN': [{ subject: '/O=Corp+OU=Mesh+CN=Corp Root/CN=Below' }],
  'no name at all': [{ subject: '/' }],
  'odd characters': [{ subject: '/O=Corp\\, Inc./CN=a \\"b\\" <c> #d; e\\/f = g\\+h  ' }],
  'the same kind in another order': [{ subject: '/CN=Corp Root/O=Corp/C=US/ST=Ohio/L=Town/serialNumber=7' }],
  'RSA 2048': [{ subject: '/O=Corp/CN=RSA', key: 'RSA 2048' }],
  'RSA 3072': [{ subject: '/O=Corp/CN=RSA', key: 'RSA 3072' }],
  'RSA 4096': [{ subject: '/O=Corp/CN=RSA', key: 'RSA 4096' }],
  'P-384': [{ subject: '/O=Corp/CN=P384', key: 'P-384' }],
  Ed25519: [{ subject: '/O=Corp/CN=Ed25519', key: 'Ed25519' }],
  'an intermediate in another encoding than its root': [
    { subject: '/O=Corp/CN=Root', mask: 'printable' },
    { subject: '/O=Corp/CN=Mesh' },
  ],
  'three levels below the root, each in its own encoding': [
    { subject: '/O=Corp/CN=Root', mask: 'bmp' },
    { subject: '/O=Corp/CN=One', mask: 't61', key: 'RSA 2048' },
    { subject: '/O=Corp/CN=Two', mask: 'printable', key: 'P-384' },
    {
      subject: '/O=Corp+CN=Three',
      extensions: [
        'basicConstraints=critical,CA:TRUE,pathlen:0',
        'keyUsage=critical,digitalSignature,keyCertSign',
        'subjectKeyIdentifier=hash',
        'authorityKeyIdentifier=keyid,issuer',
      ],
    },
  ],
  'an RSA intermediate below Ed25519': [
    { subject: '/CN=Root', key: 'Ed25519' },
    { subject: '/CN=Mesh', key: 'RSA 2048' },
  ],
  'names that are permitted': [
    { subject: '/CN=Root' },
    {
      subject: '/CN=Mesh',
      extensions: [
        ...authorityExtensions,
        'nameConstraints=critical,permitted;DNS:istio-system.svc,permitted;URI:cluster.local',
      ],
    },
  ],
  'limited to both sides of TLS': [
    { subject: '/CN=Root' },
    { subject: '/CN=Mesh', extensions: [...authorityExtensions, 'extendedKeyUsage=serverAuth,clientAuth'] },
  ],
  'no key usage, no key identifier': [
    {
      subject: '/CN=Root',
      extensions: ['basicConstraints=critical,CA:TRUE', 'subjectKeyIdentifier=none', 'authorityKeyIdentifier=none'],
    },
  ],
}

export const bad: Readonly<Record<string, readonly [readonly Level[], RegExp]>> = {
  'no right to sign': [
    [
      { subject: '/CN=Root' },
      { subject: '/CN=Mesh', extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,digitalSignature'] },
    ],
    /key usage lacks keyCertSign/,
  ],
  'a root without the right to sign': [
    [{ subject: '/CN=Root', extensions: ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,cRLSign'] }],
    /CN=Root is no certificate authority/,
  ],
  'a path that is too long': [
    [{ subject: '/CN=Root', extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] }, { subject: '/CN=Mesh' }],
    /allows 0 authorities below it, there is 1/,
  ],
  'no authority between': [
    [
      { subject: '/CN=Root' },
      { subject: '/CN=Between', extensions: ['basicConstraints=critical,CA:FALSE'] },
      { subject: '/CN=Mesh' },
    ],
    /not trusted|CA:TRUE/,
  ],
  'servers alone': [
    [
      { subject: '/CN=Root' },
      { subject: '/CN=Mesh', extensions: [...authorityExtensions, 'extendedKeyUsage=serverAuth'] },
    ],
    /clients and servers/,
  ],
  'clients alone': [
    [
      { subject: '/CN=Root' },
      { subject: '/CN=Mesh', extensions: [...authorityExtensions, 'extendedKeyUsage=clientAuth'] },
    ],
    /clients and servers/,
  ],
  'SHA-1': [[{ subject: '/CN=Root' }, { subject: '/CN=Mesh', digest: 'sha1' }], /SHA-1/],
  'ended between': [
    [{ subject: '/CN=Root' }, { subject: '/CN=Between', expired: true }, { subject: '/CN=Mesh' }],
    /valid from/,
  ],
  'an unknown critical extension': [
    [
      { subject: '/CN=Root' },
      { subject: '/CN=Mesh', extensions: [...authorityExtensions, '1.3.6.1.4.1.99999.1=critical,ASN1:UTF8String:x'] },
    ],
    /critical extension 1\.3\.6\.1\.4\.1\.99999\.1/,
  ],
  'directories permitted, critically': [
    [
      { subject: '/CN=Root' },
      {
        subject: '/CN=Mesh',
        extensions: [...authorityExtensions, 'nameConstraints=critical,permitted;dirName:dir', '[dir]', 'O=Corp'],
      },
    ],
    /critical extension 2\.5\.29\.30/,
  ],
}
/** Fit to sign, but not for these names. */
export const badNames: Readonly<Record<string, readonly Level[]>> = {
  'other names permitted': [
    { subject: '/CN=Root' },
    {
      subject: '/CN=Mesh',
      extensions: [
        ...authorityExtensions,
        'nameConstraints=critical,permitted;DNS:other.svc,permitted;URI:other.local',
      ],
    },
  ],
  'names excluded by the root': [
    {
      subject: '/CN=Root',
      extensions: [...authorityExtensions, 'nameConstraints=critical,excluded;DNS:svc,excluded;URI:cluster.local'],
    },
    { subject: '/CN=Mesh' },
  ],
  'names below permitted': [
    { subject: '/CN=Root' },
    {
      subject: '/CN=Mesh',
      extensions: [
        ...authorityExtensions,
        'nameConstraints=critical,permitted;DNS:.istiod.istio-system.svc,permitted;URI:.cluster.local',
      ],
    },
  ],
}
