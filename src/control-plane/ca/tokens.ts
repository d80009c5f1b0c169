// Who asks: a service account token bound to a pod, for this audience alone.
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'

export interface Caller {
  readonly namespace: string
  readonly serviceAccount: string
  /** The pod that the token is bound to; '' where it names none. */
  readonly pod: string
}

/** undefined: not authenticated. `authenticate` never throws on a bad token. */
export interface TokenReviewer {
  authenticate(token: string): Promise<Caller | { readonly refused: string }>
}

export const caAudience = 'istio-ca'

/** Tokens as a kubelet mounts them, checked against the issuer's public keys. */
export function jwksReviewer(keys: JSONWebKeySet, issuer: string): TokenReviewer {
  const keySet = createLocalJWKSet(keys)
  return {
    async authenticate(token) {
      try {
        const { payload } = await jwtVerify(token, keySet, { issuer, audience: caAudience, requiredClaims: ['exp', 'sub'] })
        const subject = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(payload.sub ?? '')
        if (subject === null) return { refused: 'the token’s subject is no service account' }
        const bound = payload['kubernetes.io'] as { pod?: { name?: string } } | undefined
        return { namespace: subject[1] as string, serviceAccount: subject[2] as string, pod: bound?.pod?.name ?? '' }
      } catch (error) {
        return { refused: (error as Error).message }
      }
    },
  }
}
