// Who asks, by the API server's own word: TokenReview for the audience istio-ca. Istio: security/pkg/k8s/tokenreview/k8sauthn.go.
// Law: an answer counts shortly; no answer is no refusal: whoever asked shall ask again.
import { createHash } from 'node:crypto'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient } from '#lib/kubernetes/types.ts'
import { caAudience, type Caller, type TokenReviewer } from './tokens.ts'

export type TokenReviewApi = Pick<KubernetesClient, 'create'>

type Answer = Caller | { readonly refused: string }

interface ReviewStatus {
  readonly authenticated?: boolean
  readonly error?: string
  readonly audiences?: readonly string[]
  readonly user?: { readonly username?: string; readonly groups?: readonly string[]; readonly extra?: Readonly<Record<string, readonly string[]>> }
}

/** A pod that is deleted loses its right no later than this. */
const keptMs = 10_000
const mostKept = 4096
/** A kubelet's token has about 1.2 KB; what is much longer is none. */
const longestToken = 16 * 1024

export function tokenReviewer(api: TokenReviewApi, now: () => number, audience = caAudience): TokenReviewer {
  const kept = new Map<string, { readonly untilMs: number; readonly answer: Promise<Answer> }>()
  const ask = async (token: string): Promise<Answer> => {
    try {
      const review = await api.create({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec: { token, audiences: [audience] } })
      return callerOf((review['status'] ?? {}) as ReviewStatus, audience)
    } catch (cause) {
      throw new KithError('REVIEW_UNAVAILABLE', `the API server could not review a token: ${(cause as Error).message}`, { cause })
    }
  }
  return {
    authenticate(token) {
      if (token.length > longestToken) return Promise.resolve({ refused: `a token of ${token.length} characters is none` })
      const key = createHash('sha256').update(token).digest('base64')
      const known = kept.get(key)
      if (known !== undefined && known.untilMs > now()) return known.answer
      const answer = ask(token)
      kept.delete(key)
      kept.set(key, { untilMs: now() + keptMs, answer })
      for (const old of kept.keys()) {
        if (kept.size <= mostKept) break
        kept.delete(old)
      }
      answer.catch(() => kept.delete(key))
      return answer
    },
  }
}

/** Pure: what the API server says of a token → who that is. */
export function callerOf(status: ReviewStatus, audience: string): Answer {
  if (status.authenticated !== true) return { refused: status.error === undefined || status.error === '' ? 'the API server does not know the token' : status.error }
  // An API server that knows nothing of audiences answers without them: then nobody has checked ours.
  if (status.audiences?.includes(audience) !== true) return { refused: `the token is not for the audience ${audience}` }
  const { username = '', groups = [], extra = {} } = status.user ?? {}
  if (!groups.includes('system:serviceaccounts')) return { refused: `${username} is no service account` }
  const subject = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(username)
  if (subject === null) return { refused: `${username} is no service account` }
  return { namespace: subject[1] as string, serviceAccount: subject[2] as string, pod: extra['authentication.kubernetes.io/pod-name']?.[0] ?? '' }
}
