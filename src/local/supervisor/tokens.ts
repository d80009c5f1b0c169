// Service-account tokens as kubelet mounts them into a sidecar: bound to one pod, for the CA's audience alone. The key never leaves this process.
import { exportJWK, generateKeyPair, SignJWT, type JSONWebKeySet } from 'jose'
import { randomUUID } from 'node:crypto'

export const tokenIssuer = 'https://kubernetes.default.svc.cluster.local'
export const tokenLifetimeSeconds = 43_200
const audience = 'istio-ca'

export interface TokenIssuer {
  /** Public keys, for whoever checks. */
  readonly keys: JSONWebKeySet
  issue(pod: { readonly namespace: string; readonly name: string; readonly uid: string; readonly serviceAccount: string }): Promise<string>
}

export async function createTokenIssuer(): Promise<TokenIssuer> {
  const kid = randomUUID()
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  return {
    keys: { keys: [{ ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' }] },
    issue: ({ namespace, name, uid, serviceAccount }) =>
      new SignJWT({ 'kubernetes.io': { namespace, pod: { name, uid }, serviceaccount: { name: serviceAccount, uid: `${namespace}-${serviceAccount}` } } })
        .setProtectedHeader({ alg: 'ES256', kid }).setIssuer(tokenIssuer).setAudience(audience).setSubject(`system:serviceaccount:${namespace}:${serviceAccount}`)
        .setIssuedAt().setNotBefore('-5s').setJti(randomUUID()).setExpirationTime(`${tokenLifetimeSeconds}s`).sign(privateKey),
  }
}
