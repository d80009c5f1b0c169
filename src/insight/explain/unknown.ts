// Why the caller's sidecar does not know where a call goes: what leaves the destination out of its view.
import { isIP } from 'node:net'
import { refTo } from '#api'
import { formatRef } from '#lib/problem.ts'
import { exportedTo, isVisible, type MeshService } from '#mesh'
import { didYouMean } from './did-you-mean.ts'
import { declaredHttp } from './declared-http.ts'
import type { Source } from './ends.ts'
import { noEndpoint, portsOf, type Ending } from './no-endpoint.ts'
import type { Question } from './question.ts'
import { resolveTarget } from './target.ts'

export interface Unknown {
  /** What the route line says of it. */
  readonly what: string
  /** `; did you mean …?`, or nothing. */
  readonly meant: string
  /** The rule that left it out; undefined: there is none, the destination is nowhere. */
  readonly reason?: { readonly rule: string; readonly source: Source }
  /** To change so that the mesh knows it; null: nothing is wrong. */
  readonly hint: string | null
  /** How the call ends where only what is known may be called. */
  readonly ending: Ending
}

/** `policy`: who says REGISTRY_ONLY. */
export function whyUnknown(q: Question, policy: Source): Unknown {
  const { service, workload } = q.resolved
  const { host, port } = q.target
  const byName = q.bytes.http === undefined ? undefined : otherHost(q)
  if (byName !== undefined) return byName
  if (service !== undefined) return ofService(q, service, policy)
  const registryOnly: Ending = ['registry-only', { host, port, meant: didYouMean(q), source: policy }]
  if (workload !== undefined) {
    const left = leftOut(q, workload.namespace, `*.${workload.namespace}.svc.${q.mesh.options.domain}`)
    return {
      what: 'a pod’s own address',
      meant: '',
      hint: null,
      ...(left === undefined ? {} : { reason: { rule: 'scope.sidecar', source: left.source } }),
      ending: registryOnly,
    }
  }
  return { what: 'unknown destination', meant: didYouMean(q), hint: null, ending: registryOnly }
}

function ofService(q: Question, service: MeshService, policy: Source): Unknown {
  const { host, port } = q.target
  const { namespace } = q.client
  const declared = service.ports.some((p) => p.number === port && p.protocol !== 'udp')
  if (service.externalName !== undefined) {
    return {
      what: `${service.host} is an alias of ${service.externalName}, which the mesh does not know`,
      meant: '',
      reason: { rule: 'route.alias', source: refTo(service.object, 'spec.externalName') },
      hint: null,
      ending: ['registry-only', { host: service.externalName, port, meant: '', source: policy }],
    }
  }
  if (!declared)
    return {
      what: `not a port of ${service.host}`,
      meant: '',
      reason: { rule: 'route.no-port', source: refTo(service.object, 'spec.ports') },
      hint: null,
      ending: noEndpoint(q, service, port, null),
    }
  const fallback = q.mesh.options.config.defaultServiceExportTo ?? []
  if (!isVisible(service.exportTo, service.namespace, namespace, fallback)) {
    const source =
      service.exportTo.length === 0
        ? 'default'
        : refTo(
            service.object,
            service.origin === 'entry'
              ? 'spec.exportTo'
              : 'metadata.annotations.networking.istio.io/exportTo',
          )
    const to = exportedTo(service.exportTo, fallback).join(', ')
    return {
      what: `${service.host} is not exported to ${namespace}`,
      meant: '',
      reason: { rule: 'scope.export', source },
      hint: `add ${namespace} to what ${service.host} is exported to (now ${to})`,
      ending: ['not-exported', { host: service.host, namespace, to, source }],
    }
  }
  const left = leftOut(q, service.namespace, service.host)
  if (left !== undefined) {
    return {
      what: `the caller’s Sidecar leaves ${service.host}:${port} out`,
      meant: '',
      reason: { rule: 'scope.sidecar', source: left.source },
      hint: `add ${left.add} to the egress hosts of ${formatRef(left.source)}`,
      ending: [
        'left-out-by-sidecar',
        {
          host: service.host,
          port,
          add: left.add,
          policy: policy === 'default' ? 'REGISTRY_ONLY holds' : `${formatRef(policy)} says REGISTRY_ONLY`,
          source: left.source,
        },
      ],
    }
  }
  const index = service.ports.findIndex((p) => p.number === port)
  if (q.bytes.tls !== undefined && isHttp(service.ports[index]?.protocol)) {
    const source = refTo(service.object, `spec.ports[${index}]`)
    return {
      what: `port ${port} of ${service.host} is declared as HTTP, and the application sends TLS, which no route is for`,
      meant: ' to the address as it is',
      reason: { rule: 'route.not-http', source },
      hint: 'speak plain http:// from the application, so that routes and mutual TLS apply; or declare the port as HTTPS',
      ending: ['tls-to-http-port', declaredHttp(q)],
    }
  }
  return {
    what: `no listener of the caller’s sidecar is for ${q.resolved.addresses[0] ?? host}:${port}`,
    meant: '',
    hint: null,
    ending: ['registry-only', { host, port, meant: '', source: policy }],
  }
}

const isHttp = (protocol: string | undefined): boolean =>
  protocol === 'http' || protocol === 'http2' || protocol === 'grpc'

/** The Sidecar's egress listener that the call falls to, where its hosts do not name the service. */
function leftOut(
  q: Question,
  owner: string,
  host: string,
): { readonly source: Exclude<Source, 'default'>; readonly add: string } | undefined {
  const { sidecar, listeners } = q.context.scope
  const written = sidecar?.spec.egress ?? []
  if (sidecar === undefined || written.length === 0) return undefined
  const at = listeners.findIndex((l) => l.port === q.target.port)
  const index = at === -1 ? listeners.findIndex((l) => l.port === undefined) : at
  const listener = listeners[index]
  if (listener !== undefined && listener.takes(owner, host) && !listener.leavesOut(owner, host))
    return undefined
  return {
    source: refTo(sidecar, index === -1 ? 'spec.egress' : `spec.egress[${index}].hosts`),
    add: `${owner === q.client.namespace ? '.' : owner}/*`,
  }
}

/** The request names another host than the connection was opened to. */
function otherHost(q: Question): Unknown | undefined {
  const { authority } = q.request
  const name = (
    authority.startsWith('[') ? authority.slice(1, authority.indexOf(']')) : (authority.split(':')[0] ?? '')
  )
    .toLowerCase()
    .replace(/\.$/, '')
  if (name === q.target.host) return undefined
  const { port } = q.target
  const source = 'default' as const
  const ending: Ending = ['unknown-host-header', { authority, port, host: q.target.host, source }]
  const meant = isIP(name) === 0 ? resolveTarget(q.mesh, q.client, name).service : undefined
  const hint = `send the Host that is meant, ${q.target.host}${meant === undefined ? '' : `; ${meant.host} has ${portsOf(meant).join(', ') || 'no port'}`}`
  return {
    what: `Host ${authority} is the name of nothing on port ${port}`,
    meant: ' to where the connection was opened to',
    reason: { rule: 'route.host-header', source },
    hint,
    ending,
  }
}
