// Who asks: a service account token bound to a pod, for this audience alone.
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'

export interface Caller {
  readonly namespace: string
  readonly serviceAccount: string
  /** The pod that the token is bound to; '' where it names none. */
  readonly pod: string
}

interface BoundTo {
  readonly namespace?: string
  readonly serviceaccount?: { readonly name?: string }
  readonly pod?: { readonly name?: string }
}

/** `authenticate` never throws on a bad token; KithError REVIEW_UNAVAILABLE: nobody can say now, ask again. */
export interface TokenReviewer {
  authenticate(token: string): Promise<Caller | { readonly refused: string }>
}

export const caAudience = 'istio-ca'

/** Signatures alone: with a shared secret, whoever can check a token can make one. */
const algorithms = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']

/** Tokens as a kubelet mounts them, checked against the issuer's public keys. */
export function jwksReviewer(keys: JSONWebKeySet, issuer: string): TokenReviewer {
  const keySet = createLocalJWKSet(keys)
  return {
    async authenticate(token) {
      try {
        const { payload } = await jwtVerify(token, keySet, { issuer, audience: caAudience, algorithms, requiredClaims: ['exp', 'sub'] })
        const subject = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(payload.sub ?? '')
        if (subject === null) return { refused: 'the token’s subject is no service account' }
        const bound = payload['kubernetes.io'] as BoundTo | undefined
        // What the token is bound to must be of the account that it speaks for.
        if ((bound?.namespace ?? subject[1]) !== subject[1] || (bound?.serviceaccount?.name ?? subject[2]) !== subject[2]) return { refused: 'the token is bound to another account than its subject' }
        return { namespace: subject[1] as string, serviceAccount: subject[2] as string, pod: bound?.pod?.name ?? '' }
      } catch (error) {
        return { refused: (error as Error).message }
      }
    },
  }
}
