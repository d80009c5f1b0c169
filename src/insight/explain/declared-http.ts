// A port that is declared as HTTP, where an application sends TLS: who declares it, and which DestinationRule
// makes TLS of plaintext that is sent there.
import { formatRef } from '#lib/problem.ts'
import { refTo } from '#api'
import { effectivePolicy } from '#plan'
import type { Ends } from './ends.ts'
import type { Question } from './question.ts'

/**
 * The Service whose port is declared as HTTP, and the DestinationRule that makes TLS of what is sent there.
 */
export function declaredHttp(q: Question): Ends['tls-to-http-port'] {
  const { port, host } = q.target
  const { service } = q.resolved
  // Several services share a port's listener: the first that declares HTTP made it.
  const declaring =
    service?.ports.some((p) => p.number === port) === true
      ? service
      : q.context.scope.services.find((s) =>
          s.ports.some((p) => p.number === port && p.protocol.startsWith('http')),
        )
  const index = declaring?.ports.findIndex((p) => p.number === port) ?? -1
  const tls = service === undefined ? undefined : effectivePolicy(q.context.ruleFor(service), port, null).tls
  const originates =
    tls !== undefined && (tls.value.mode === 'SIMPLE' || tls.value.mode === 'MUTUAL')
      ? formatRef(refTo(tls.from, `${tls.path}.mode`))
      : null
  return {
    port,
    name: service === undefined ? (declaring?.host ?? host) : host,
    originates,
    source:
      declaring === undefined || index === -1 ? 'default' : refTo(declaring.object, `spec.ports[${index}]`),
  }
}
