// pilot-agent's flags, as injection renders them: `proxy sidecar --domain … --proxyLogLevel=warning --log_output_level=default:info`. What is not ours is let pass. Pure.

export type Level = 'debug' | 'info' | 'warn' | 'error'

export interface AgentFlags {
  readonly agentLevel: Level
  readonly proxyLevel: Level
  /** `foo.svc.cluster.local` */
  readonly domain?: string
}

/** Envoy's and Istio's words for levels. */
const levels: Readonly<Record<string, Level>> = { trace: 'debug', debug: 'debug', info: 'info', warning: 'warn', warn: 'warn', error: 'error', critical: 'error', fatal: 'error', off: 'error', none: 'error' }

export function readFlags(args: readonly string[]): AgentFlags {
  const value = (name: string): string | undefined => {
    const at = args.findIndex((a) => a === `--${name}` || a.startsWith(`--${name}=`))
    return at === -1 ? undefined : (args[at] as string).includes('=') ? (args[at] as string).slice(name.length + 3) : args[at + 1]
  }
  const scopes = (value('log_output_level') ?? '').split(',').map((s) => s.split(':') as [string, string?])
  const asked = scopes.find(([scope]) => scope === 'default' || scope === 'all')?.[1] ?? scopes.find(([, level]) => level === undefined)?.[0] ?? ''
  const domain = value('domain')
  return { ...(domain === undefined ? {} : { domain }), agentLevel: levels[asked] ?? 'info', proxyLevel: levels[value('proxyLogLevel') ?? ''] ?? 'info' }
}
