// Service-account tokens as kubelet mounts them into a sidecar: bound to one pod, for the CA's audience alone. The key never leaves this process.
// JWS by hand (RFC 7515, ES256): one kind of token, and a JOSE library would cost the mesh's start 50 ms.
import { generateKeyPairSync, randomUUID, sign } from 'node:crypto'

export const tokenIssuer = 'https://kubernetes.default.svc.cluster.local'
export const tokenLifetimeSeconds = 43_200
const audience = 'istio-ca'
const clockSkewSeconds = 5

export interface TokenIssuer {
  /** Public keys (JWKS), for whoever checks. */
  readonly keys: { readonly keys: readonly object[] }
  issue(pod: { readonly namespace: string; readonly name: string; readonly uid: string; readonly serviceAccount: string }): string
}

export function createTokenIssuer(): TokenIssuer {
  const kid = randomUUID()
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return {
    keys: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] },
    issue({ namespace, name, uid, serviceAccount }) {
      const now = Math.floor(Date.now() / 1000)
      const claims = {
        iss: tokenIssuer, aud: [audience], sub: `system:serviceaccount:${namespace}:${serviceAccount}`, iat: now, nbf: now - clockSkewSeconds, exp: now + tokenLifetimeSeconds, jti: randomUUID(),
        'kubernetes.io': { namespace, pod: { name, uid }, serviceaccount: { name: serviceAccount, uid: `${namespace}-${serviceAccount}` } },
      }
      const text = `${part({ alg: 'ES256', kid, typ: 'JWT' })}.${part(claims)}`
      return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
  }
}
