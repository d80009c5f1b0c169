// A staging as all replicas of a control plane read it: what the leader decided, and who has taken it up. Texts by name, as a Secret holds them.
// Law: pure. The signer's key is in it only while another shall take over: else it stands where the mesh's owner put it.
import { createHash } from 'node:crypto'
import { parseTrustBundle } from '#identity'
import type { Authority } from './authority.ts'
import type { Staging } from './staging.ts'

export interface StagingRecord {
  /** Counts the steps; replicas answer by it. */
  readonly turn: number
  readonly step: Staging['step']
  readonly mute: boolean
  /** Undefined: not every replica has taken the step up yet. */
  readonly sinceMs: number | undefined
  readonly roots: string
  readonly known: string
  /** Fingerprints, by `authorityMark`. */
  readonly signer: string
  readonly target: string
}

export type Stand = 'taken' | 'heard'

const stand = 'replica.'
const keyFiles = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'] as const
const steps: readonly string[] = ['steady', 'spreading', 'draining']

export function authorityMark({ certificate, intermediates, roots }: Authority): string {
  return createHash('sha256').update(JSON.stringify([Buffer.from(certificate.rawData).toString('base64'), intermediates, roots])).digest('hex')
}

/** `null`: a name to be taken away. */
export function writeStaging(turn: number, staging: Staging, isOpen: boolean): Readonly<Record<string, string | null>> {
  const { signer, target, step, mute, roots, known, sinceMs } = staging
  const files = signer === target ? undefined : signer.files?.reveal()
  return {
    turn: String(turn), step, mute: String(mute), since: isOpen ? new Date(sinceMs).toISOString() : '', roots, known, signer: authorityMark(signer), target: authorityMark(target),
    ...Object.fromEntries(keyFiles.map((name) => [name, files?.[name] ?? null])),
  }
}

/** undefined: it does not hang together, and counts nothing. */
export function readStaging(data: Readonly<Record<string, string>>): StagingRecord | undefined {
  const { turn = '', step = '', mute, since = '', roots = '', known = '', signer = '', target = '' } = data
  const sinceMs = since === '' ? undefined : Date.parse(since)
  if (!/^\d{1,9}$/.test(turn) || !steps.includes(step) || signer === '' || target === '' || Number.isNaN(sinceMs)) return undefined
  try {
    return { turn: Number(turn), step: step as Staging['step'], mute: mute === 'true', sinceMs, roots: parseTrustBundle(roots).pem, known: parseTrustBundle(known).pem, signer, target }
  } catch {
    return undefined
  }
}

/** How each replica stands, by its name; '' of those that stand at another turn. */
export function standsAt(data: Readonly<Record<string, string>>, turn: number): ReadonlyMap<string, Stand | ''> {
  return new Map(Object.entries(data).filter(([name]) => name.startsWith(stand)).map(([name, text]) => {
    const [at, how] = text.split(' ')
    return [name.slice(stand.length), Number(at) === turn && (how === 'taken' || how === 'heard') ? how : '']
  }))
}

export const standName = (replica: string): string => stand + replica.replaceAll(/[^-._a-zA-Z0-9]/g, '_')
export const standText = (turn: number, how: Stand): string => `${turn} ${how}`
