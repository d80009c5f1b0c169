// Which endpoint takes the next request. Law: pure; what is random or counted comes in as arguments.
import { hash32 } from './hash-policy.ts'
import type { LbPolicy } from './clusters.ts'

export interface Candidate {
  readonly key: string
  readonly weight: number
  /** Requests under way. */
  readonly active: number
}

export interface Draw {
  /** [0,1), a fresh one at each call. */
  readonly pick: () => number
  /** Counts up by one at each call; round robin's place. */
  readonly turn: number
  /** For consistent hashing; undefined = nothing to hash, choose at random. */
  readonly hash?: string | undefined
}

/** One of the candidates, or undefined where there is none. */
export function choose<C extends Candidate>(policy: LbPolicy, candidates: readonly C[], choices: number, draw: Draw): C | undefined {
  const n = candidates.length
  if (n <= 1) return candidates[0]
  switch (policy) {
    case 'RING_HASH':
    case 'MAGLEV':
      return draw.hash === undefined ? candidates[Math.floor(draw.pick() * n)] : rendezvous(candidates, draw.hash)
    case 'RANDOM':
      return weighted(candidates, draw.pick())
    case 'LEAST_REQUEST':
      return equalWeights(candidates) ? leastOf(candidates, choices, draw.pick) : leastWeighted(candidates)
    default:
      return equalWeights(candidates) ? candidates[draw.turn % n] : weightedTurn(candidates, draw.turn)
  }
}

function equalWeights(candidates: readonly Candidate[]): boolean {
  const first = (candidates[0] as Candidate).weight
  for (const c of candidates) if (c.weight !== first) return false
  return true
}

function weighted<C extends Candidate>(candidates: readonly C[], pick: number): C {
  let left = pick * candidates.reduce((sum, c) => sum + c.weight, 0)
  for (const c of candidates) {
    left -= c.weight
    if (left < 0) return c
  }
  return candidates.at(-1) as C
}

/** Power of `choices`: draws that many different ones, takes the least busy. */
function leastOf<C extends Candidate>(candidates: readonly C[], choices: number, pick: () => number): C {
  const n = candidates.length
  let best = Math.floor(pick() * n)
  for (let i = 1; i < choices; i++) {
    let other = Math.floor(pick() * (n - 1))
    if (other >= best) other++
    if ((candidates[other] as C).active < (candidates[best] as C).active) best = other
  }
  return candidates[best] as C
}

/** Envoy divides the weight by the requests under way. */
function leastWeighted<C extends Candidate>(candidates: readonly C[]): C {
  let best = candidates[0] as C
  for (const c of candidates) if (c.weight / (c.active + 1) > best.weight / (best.active + 1)) best = c
  return best
}

/** Spreads the turns evenly: the golden ratio walks the weights without clumps. */
function weightedTurn<C extends Candidate>(candidates: readonly C[], turn: number): C {
  return weighted(candidates, (turn * 0.6180339887498949) % 1)
}

/** Consistent: when an endpoint leaves, only its own keys move; weights count. */
function rendezvous<C extends Candidate>(candidates: readonly C[], hash: string): C {
  let best = candidates[0] as C
  let bestScore = -Infinity
  for (const c of candidates) {
    const unit = (hash32(`${c.key}|${hash}`) + 1) / 4294967298
    const score = -c.weight / Math.log(unit)
    if (score > bestScore) {
      best = c
      bestScore = score
    }
  }
  return best
}
