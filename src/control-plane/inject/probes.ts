// The application's probes and hooks, sent by way of the agent: STRICT would refuse the kubelet.
// Istio: pkg/kube/inject/app_probe.go.
import { isRecord } from '#api'
import { objectsIn } from './earlier.ts'

type Obj = Record<string, unknown>

export interface RewrittenProbes {
  /** `/app-health/<container>/readyz` → the original, ports as numbers: ISTIO_KUBE_APP_PROBERS. */
  readonly probers: Readonly<Record<string, unknown>>
  readonly warnings: readonly string[]
}

const kinds = [['readinessProbe', 'app-health', 'readyz'], ['livenessProbe', 'app-health', 'livez'], ['startupProbe', 'app-health', 'startupz']] as const
const hooks = [['preStop', 'app-lifecycle', 'prestopz'], ['postStart', 'app-lifecycle', 'poststartz']] as const

/** Rewrites in place. `before`: probers of an earlier injection, whose probes point at the agent already. */
export function rewriteProbes(containers: readonly Obj[], statusPort: number, before: Readonly<Record<string, unknown>>): RewrittenProbes {
  const probers: Record<string, unknown> = {}
  const warnings: string[] = []
  for (const container of containers) {
    const name = String(container['name'])
    const one = (holder: Obj, field: string, prefix: string, word: string): void => {
      const handler = holder[field]
      if (!isRecord(handler)) return
      const url = `/${prefix}/${name}/${word}`
      const http = handler['httpGet']
      if (isRecord(http) && http['path'] === url && before[url] !== undefined) {
        probers[url] = before[url]
        holder[field] = { ...handler, httpGet: { ...http, port: statusPort } }
        return
      }
      // Rewritten already, and nobody knows what it was: the agent would ask itself for ever.
      if (isRecord(http) && http['path'] === url && http['port'] === statusPort) return
      const prober = proberOf(handler, container)
      if (prober === undefined) return
      if (typeof prober === 'string') {
        warnings.push(`container ${name}: ${field} names the port "${prober}", which the container does not declare; it is left as it is`)
        return
      }
      probers[url] = prober
      const { httpGet: _http, tcpSocket: _tcp, grpc: _grpc, ...rest } = handler
      // The agent speaks plain HTTP; host and headers stay as the kubelet would have sent them.
      const kept = isRecord(http) ? { ...http, ...(http['scheme'] === 'HTTPS' ? { scheme: 'HTTP' } : {}) } : {}
      holder[field] = { ...rest, httpGet: { ...kept, path: url, port: statusPort } }
    }
    for (const [field, prefix, word] of kinds) one(container, field, prefix, word)
    if (isRecord(container['lifecycle'])) {
      const lifecycle = { ...container['lifecycle'] }
      container['lifecycle'] = lifecycle
      for (const [field, prefix, word] of hooks) one(lifecycle, field, prefix, word)
    }
  }
  return { probers, warnings }
}

/** undefined: nothing to rewrite (exec). A string: the port name that leads nowhere. */
function proberOf(handler: Obj, container: Obj): Obj | string | undefined {
  const timeout = typeof handler['timeoutSeconds'] === 'number' ? { timeoutSeconds: handler['timeoutSeconds'] } : {}
  for (const kind of ['httpGet', 'tcpSocket', 'grpc'] as const) {
    const spec = handler[kind]
    if (!isRecord(spec)) continue
    const port = portNumber(spec['port'], container)
    return port === undefined ? String(spec['port']) : { [kind]: { ...spec, port }, ...timeout }
  }
  return undefined
}

function portNumber(port: unknown, container: Obj): number | undefined {
  if (typeof port === 'number') return port
  if (typeof port === 'string' && /^\d+$/.test(port)) return Number(port)
  const found = objectsIn(container['ports']).find((p) => p['name'] === port)?.['containerPort']
  return typeof found === 'number' ? found : undefined
}
