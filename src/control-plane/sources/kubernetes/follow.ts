// The hands of a reflector: asks the API server for what it says, hands over what came of it, until told to stop.
import { setTimeout as pause } from 'node:timers/promises'
import { KithError } from '#lib/errors.ts'
import type { Collection, KubernetesClient } from '#lib/kubernetes/types.ts'
import type { Logger } from '#lib/log.ts'
import { gatheredLog, type Gathered } from './gathered-log.ts'
import { Reflector, type Changes } from './reflector.ts'

export interface Followed {
  readonly of: Collection
  readonly reflector: Reflector
  /** Listed once, or known to be refused. */
  readonly settled: Promise<void>
}

export interface FollowOptions {
  readonly client: Pick<KubernetesClient, 'pages' | 'watch'>
  readonly signal: AbortSignal
  readonly log: Logger
  readonly onChange: (changes: Changes) => void
  /** Where several kinds are followed and share their lines of the log. */
  readonly gathered?: Gathered
  /** 0 ≤ n < 1. */
  readonly pick?: () => number
  /** What guards doors: to go on without it because reading it is forbidden would open them. Only a kind that does not exist counts as settled. */
  readonly guards?: boolean
}

export function follow(of: Collection, options: FollowOptions): Followed {
  const reflector = new Reflector()
  let settle: () => void = () => undefined
  const settled = new Promise<void>((resolve) => { settle = resolve })
  void run(of, reflector, options, settle)
  return { of, reflector, settled }
}

async function run(of: Collection, reflector: Reflector, options: FollowOptions, settle: () => void): Promise<void> {
  const { client, signal, onChange, pick = Math.random } = options
  const say = teller(of, reflector, options)
  while (!signal.aborted) {
    const step = reflector.next
    try {
      if (step.do === 'wait') {
        await pause(step.ms, undefined, { signal })
        reflector.waited()
      } else if (step.do === 'list') {
        reflector.begin()
        let resourceVersion = ''
        for await (const page of client.pages(of, { signal })) {
          onChange(reflector.page(page.items))
          resourceVersion = page.resourceVersion
        }
        onChange(reflector.listed(resourceVersion))
        say()
        settle()
      } else {
        for await (const event of client.watch(of, { resourceVersion: step.from, signal, onOpen: () => { reflector.opened(); say() } })) {
          onChange(reflector.event(event, pick()))
          if (event.type === 'ERROR') break
        }
        reflector.ended(pick())
      }
    } catch (error) {
      if (signal.aborted) return
      reflector.failed(error instanceof KithError ? error.code : 'UNEXPECTED', error instanceof Error ? error.message : String(error), pick())
      say()
      if (reflector.refused !== undefined && !(options.guards === true && reflector.refused.code === 'K8S_FORBIDDEN')) settle()
      if (!(error instanceof KithError)) options.log.error({ kind: of.kind, error: error instanceof Error ? error.stack : String(error) }, 'following a kind went wrong, trying again')
    }
  }
}

/** Says what changed in how a kind stands, once: refused, lost, back. */
function teller(of: Collection, reflector: Reflector, { log, gathered = gatheredLog(log), guards }: FollowOptions): () => void {
  let said: 'well' | 'refused' | 'lost' = 'well'
  return () => {
    const { refused, lost } = reflector
    const now = refused !== undefined ? 'refused' : lost !== undefined ? 'lost' : 'well'
    if (now === said) return
    said = now
    const about = { kind: of.kind, ...(lost === undefined ? {} : { code: lost.code, reason: lost.message }), objects: reflector.size }
    if (now === 'refused' && guards === true && !reflector.synced && refused?.code === 'K8S_FORBIDDEN') log.error(about, 'reading a security kind is forbidden, nothing is served until it can be read')
    else if (now === 'refused') gathered.say('warn', 'kind can not be read, going on without it and trying again', about)
    else if (now === 'lost') gathered.say('warn', 'api server lost, what was last known stays', about)
    else gathered.say('info', 'kind is read again', about)
  }
}
