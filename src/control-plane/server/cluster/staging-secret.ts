// Where the replicas of a cluster's control plane meet over a change of authority: the Secret `istio-ca-staging`. The leader writes the step, each replica how it stands.
// Law: a step is written over the one that it follows, or not at all. A replica whose pod is gone is not waited for.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { authorityMark, beginStaging, offer, readAuthority, readStaging, standName, standsAt, standText, writeStaging, type Authority, type Stand, type StagingRecord } from '#ca'
import { followObject } from '#sources'
import type { Share, Turn } from '../staging-share.ts'
import { dataOf, textsOf } from './secret-texts.ts'

export const stagingSecret = 'istio-ca-staging'

export interface StagingSecretOptions {
  readonly client: Pick<KubernetesClient, 'get' | 'create' | 'patch' | 'pages' | 'watch'>
  readonly namespace: string
  /** This replica's pod. */
  readonly me: string
  readonly leads: () => boolean
  readonly now: () => number
  readonly log: Logger
}

/** Whether a silent replica's pod is still there is asked this often. */
const lookEveryMs = 5000
const againMs = 2000
const leavingMs = 1000

/** undefined: this control plane may not read or write it (a role from before there was one); each goes by its own clock then. */
export async function stagingSecretShare(options: StagingSecretOptions): Promise<Share | undefined> {
  const { client, namespace, me, leads, now, log } = options
  const key = { apiVersion: 'v1', kind: 'Secret', namespace, name: stagingSecret }
  let version: string | undefined
  let data: Readonly<Record<string, string>> = {}
  let record: StagingRecord | undefined
  /** The key that came with the record: of an authority that another takes over from. */
  let carried: Authority | undefined
  const candidates: Authority[] = []
  let listener: ((next: Turn) => void) | undefined
  /** The turn that holds here. */
  let taken = 0
  let takenOpen = false
  /** What is being written comes back over the watch as well. */
  let busy = false
  let said = ''
  let retry: NodeJS.Timeout | undefined
  const gone = new Set<string>()
  let lookedMs = 0

  const read = async (secret: KubernetesObject | undefined): Promise<void> => {
    // What this one has written itself is newer than what the watch still brings. Versions of one kind count upwards (KEP-5504).
    if (secret !== undefined && Number(secret.metadata.resourceVersion) < Number(version ?? 0)) return
    version = secret?.metadata.resourceVersion
    data = textsOf(secret)
    record = readStaging(data)
    if (record !== undefined && carried !== undefined && authorityMark(carried) === record.signer) return
    carried = record === undefined || (data['ca-key.pem'] ?? '') === '' ? undefined : await readAuthority((name) => data[name], `the secret ${namespace}/${stagingSecret}`, now()).catch((error: unknown) => void log.error({ reason: (error as Error).message }, 'the former authority can’t be read'))
  }
  const known = (mark: string): Authority | undefined => [...candidates, ...(carried === undefined ? [] : [carried])].find((a) => authorityMark(a) === mark)
  /** `insist`: this one must decide, and what was to sign then is not known here: what is put in place now shall. */
  const turnOf = (r: StagingRecord, insist: boolean): Turn | undefined => {
    const signer = known(r.signer)
    const target = r.signer === r.target ? signer : known(r.target)
    const sinceMs = r.sinceMs ?? now()
    if (signer !== undefined && target !== undefined) return { number: r.turn, staging: { signer, target, roots: r.roots, known: r.known, step: r.step, mute: r.mute, sinceMs }, open: r.sinceMs !== undefined, written: true }
    const newest = candidates.at(-1)
    if (!insist || newest === undefined) return undefined
    const staging = signer === undefined || r.mute ? beginStaging(newest, now(), r.known, candidates.find((c) => c !== newest)) : offer({ signer, target: signer, roots: r.roots, known: r.known, step: r.step, mute: false, sinceMs }, newest, now())
    return { number: r.turn, staging, open: false, written: false }
  }
  const tell = (): void => {
    if (busy || record === undefined || listener === undefined || record.turn < taken || (record.turn === taken && (record.sinceMs === undefined || takenOpen))) return
    const next = turnOf(record, leads())
    if (next === undefined) return
    taken = record.turn
    takenOpen = record.sinceMs !== undefined
    listener(next)
  }
  const patch = (changes: Readonly<Record<string, string | null>>, over?: string): Promise<KubernetesObject> => client.patch(key, 'merge', {
    ...(over === undefined ? {} : { metadata: { resourceVersion: over } }), data: dataOf(changes),
  })
  const say = (): void => {
    clearTimeout(retry)
    const text = said
    if (record === undefined || text === '' || data[standName(me)] === text) return
    patch({ [standName(me)]: text }).catch((error: unknown) => {
      log.warn({ reason: (error as Error).message }, 'where this replica stands could not be told, trying again')
      retry = setTimeout(say, againMs)
      retry.unref()
    })
  }
  const others = (turn: number): [string, Stand | ''][] => [...standsAt(data, turn)].filter(([name]) => name !== standName(me).slice('replica.'.length) && !gone.has(name))
  const lookForSilent = async (names: readonly string[]): Promise<void> => {
    for (const name of names) {
      const pod = await client.get({ apiVersion: 'v1', kind: 'Pod', namespace, name }).catch(() => null)
      if (pod !== undefined) continue
      gone.add(name)
      log.info({ replica: name }, 'a replica of the control plane is gone, it is not waited for')
      await patch({ [standName(name)]: null }).catch(() => undefined)
    }
  }

  try {
    await read(await client.get(key))
  } catch (error) {
    log.warn({ secret: stagingSecret, namespace, code: error instanceof KithError ? error.code : 'UNEXPECTED', reason: (error as Error).message }, 'replicas can’t agree on a change of the certificate authority, each goes by its own clock')
    return undefined
  }
  let reading: Promise<void> = Promise.resolve()
  const followed = followObject(client, key, log, (secret) => {
    reading = reading.then(() => read(secret)).then(() => {
      for (const name of standsAt(data, 0).keys()) if (data[standName(name)]?.startsWith(`${record?.turn} `) === true) gone.delete(name)
      tell()
      say()
    })
  })
  return {
    begin(first, former) {
      candidates.push(...(former === undefined ? [] : [former]), first)
      if (record === undefined) return undefined
      const turn = turnOf(record, true)
      taken = record.turn
      takenOpen = turn?.written === true && turn.open
      return turn
    },
    leads,
    async write(next) {
      tell()
      if (record !== undefined && record.turn > taken) return false
      busy = true
      const texts = writeStaging(next.number, next.staging, next.open)
      try {
        const own = { [standName(me)]: standText(next.number, 'taken') }
        const written = version === undefined
          ? await client.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name: stagingSecret, namespace, labels: { app: 'istiod' } }, type: 'istio.io/ca-staging', data: dataOf(Object.fromEntries(Object.entries({ ...texts, ...own }).filter(([, text]) => text !== null))) })
          : await patch({ ...texts, ...own }, version)
        await read(written)
        taken = next.number
        takenOpen = next.open
        return true
      } catch (error) {
        // What another wrote comes over the watch; how a replica stands may be all that it was.
        if (error instanceof KithError && error.code === 'K8S_CONFLICT') return false
        throw error
      } finally {
        busy = false
        tell()
      }
    },
    stand(turn, how) {
      const text = standText(turn, how)
      if (text === said) return
      said = text
      say()
    },
    all(turn, how) {
      const silent = others(turn).filter(([, stand]) => stand !== 'heard' && stand !== how).map(([name]) => name)
      if (silent.length > 0 && now() - lookedMs > lookEveryMs) {
        lookedMs = now()
        void lookForSilent(silent)
      }
      return silent.length === 0
    },
    follow(next) {
      listener = next
      tell()
      say()
    },
    offer(authority) {
      // Of those that were put in place before, the last two may still be named by a step.
      candidates.push(authority)
      candidates.splice(0, candidates.length - 4)
      tell()
    },
    async close() {
      clearTimeout(retry)
      followed.close()
      // Whoever ends by itself need not be looked for.
      if (data[standName(me)] !== undefined) await Promise.race([patch({ [standName(me)]: null }).catch(() => undefined), pause(leavingMs)])
    },
  }
}
