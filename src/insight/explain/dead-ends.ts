// Where a call ends before any server of the mesh: outside it, at an answer of the proxy's own, at a cluster
// without endpoints, at a name or port that nobody has.
import { byDefault } from '#lib/decided.ts'
import { formatRef } from '#lib/problem.ts'
import { isIP } from 'node:net'
import { refTo } from '#api'
import { exportedTo, isVisible, type MeshService } from '#mesh'
import type { Upstream } from '#plan'
import type { ClusterChoice } from '../simulate/index.ts'
import type { Routed } from './client-path.ts'
import { clientSide, rewritten } from './client-side.ts'
import { declaredHttp } from './declared-http.ts'
import { didYouMean } from './did-you-mean.ts'
import { blockedBy, type End, type Ends, type Source } from './ends.ts'
import { noEndpoint, portsOf, type Ending } from './no-endpoint.ts'
import { plainPort } from './plain-port.ts'
import type { Question } from './question.ts'
import { rulesNotMatched } from './routes-not-taken.ts'
import { answered } from './symptom.ts'
import type { ClientSide, EndpointAnswer, WireTls } from './types.ts'
import { tlsInTls } from './verdict.ts'

/** One end for all of the calls. */
const whole = { share: 1, priority: 0, locality: '', provided: null, hints: [] }

type Clusters = Extract<Routed, { kind: 'clusters' }>

/** A host whose address only the application knows: nothing of the mesh is at the other end. */
export function outside(q: Question, client: ClientSide): EndpointAnswer {
  const wire = client.tls?.value ?? 'DISABLE'
  const answer = {
    address: `${q.target.host.includes(':') ? `[${q.target.host}]` : q.target.host}:${q.target.port}`,
    weight: 1,
    ...whole,
    client,
    server: null,
  }
  if (wire !== 'DISABLE' && q.bytes.tls !== undefined && client.tls !== null)
    return {
      ...answer,
      outcome: 'blocked',
      blocked: tlsInTls({ tls: client.tls, destination: plainPort(q, client.destination ?? undefined) }),
    }
  return {
    ...answer,
    outcome: wire === 'DISABLE' ? 'plaintext' : wire === 'ISTIO_MUTUAL' ? 'mtls' : 'tls',
    blocked: null,
  }
}

/** `localhost`: what listens in the caller's own pod. */
export function ownPod(q: Question): EndpointAnswer {
  const route = byDefault({ rule: 'the caller’s own pod' }, 'route.loopback')
  const redirected = q.client.sidecar.value ? byDefault(false, 'capture.loopback') : null
  const answer = outside(q, {
    ...clientSide(q, route),
    identity: null,
    redirected,
    tls: byDefault<WireTls>('DISABLE', 'tls.loopback'),
  })
  return { ...answer, hints: listenersNotOpened(q) }
}

/**
 * A Sidecar's egress listener that is bound to the loopback: in Istio the sidecar itself opens the port
 * there.
 */
function listenersNotOpened({ context, client, target }: Question): string[] {
  const { sidecar } = context.scope
  if (sidecar === undefined || !client.sidecar.value) return []
  return (sidecar.spec.egress ?? []).flatMap(({ port, bind = '', captureMode }, i) => {
    if (
      port?.number !== target.port ||
      (!bind.startsWith('127.') && bind !== '::1' && captureMode !== 'NONE')
    )
      return []
    const at = formatRef(refTo(sidecar, `spec.egress[${i}]`))
    return [
      `${at} asks the sidecar to listen on ${bind === '' ? 'the loopback' : bind}:${target.port}; this mesh opens no such port, so that a container of the pod must listen there: call the host itself, and let the pod’s rules redirect the call`,
    ]
  })
}

/** An end on the caller's side. Nothing goes on the wire. */
export function endsAt<K extends End>(
  client: ClientSide,
  symptom: string,
  [end, facts]: readonly [K, Ends[K]],
): EndpointAnswer {
  return {
    address: '',
    weight: 1,
    ...whole,
    outcome: 'blocked',
    client,
    server: null,
    blocked: blockedBy(end, 'client', symptom, facts),
  }
}

/** The service is known, and nobody answers at this port of it. */
export function nowhere(q: Question, client: ClientSide, http: boolean): EndpointAnswer {
  const { service, workload } = q.resolved
  const symptom = q.bySidecar
    ? http
      ? answered(q.target.scheme === 'grpc', 503, 'caller', { flag: 'flag UF' })
      : 'the connection is closed'
    : 'connection refused or timed out'
  const silent = { ...client, tls: null }
  if (service !== undefined)
    return endsAt(silent, symptom, noEndpoint(q, service, q.target.port, null) as readonly [End, never])
  const source: Source = workload === undefined ? 'default' : refTo(workload.object, 'spec.replicas')
  return endsAt(silent, symptom, [
    'scaled-to-zero',
    {
      host: q.target.host,
      workload:
        workload === undefined ? q.target.host : `${workload.kind} ${workload.namespace}/${workload.pod}`,
      source,
    },
  ])
}

/** Nobody in the mesh has this name; who else has it is not known here. */
export function nameNeeded(q: Question): string | null {
  const { host } = q.target
  return isIP(host) !== 0 || q.resolved.service !== undefined || q.resolved.workload !== undefined
    ? null
    : `DNS outside the mesh has an address for ${host}`
}

/**
 * A pod's own hostname leads to whatever listens there; null: it declares the port, or the name is another.
 */
export function listenerNeeded({ client, resolved, target }: Question): string | null {
  if (resolved.hostname !== true || client.ports.some((p) => p.port === target.port)) return null
  const declared =
    client.ports.length === 0 ? '' : ` (it declares ${client.ports.map((p) => p.port).join(', ')})`
  return `a container of the caller’s own pod listens on port ${target.port}${declared}; to call the Service, write ${target.host}.${client.namespace}`
}

export function localAnswer(q: Question, routed: Extract<Routed, { kind: 'local' }>): EndpointAnswer {
  const { status, what, location } = routed
  const source = routed.route.because[0]?.source ?? 'default'
  const client = clientSide(q, routed.route)
  const symptom = answered(q.target.scheme === 'grpc', status, 'caller')
  switch (what) {
    case 'no-route':
      return endsAt(client, symptom, [
        'no-route-matches',
        { failed: source === 'default' ? [] : rulesNotMatched(q, source), source },
      ])
    case 'redirect':
    case 'direct':
      return endsAt(client, symptom, ['answered-by-route', { status, location, source }])
    case 'not-http':
      return endsAt(client, 'the connection is closed, or 400, during the TLS handshake', [
        'tls-to-http-port',
        declaredHttp(q),
      ])
    case 'bad-method':
      return endsAt(client, symptom, ['refused-method', { method: q.request.method, source: 'default' }])
    case 'bad-expression':
      return endsAt(client, symptom, ['costly-expression', { where: 'the caller’s sidecar', source: 'default' }])
    case 'bad-path':
      return endsAt(client, symptom, [
        'unreadable-path',
        { path: q.request.path, where: 'the caller’s sidecar', source: 'default' },
      ])
  }
}

/** Fault injection that leaves no call. */
export function aborted(
  q: Question,
  { route, status }: Extract<Routed, { kind: 'aborted' }>,
): EndpointAnswer {
  const symptom = /^\d+$/.test(status)
    ? answered(q.target.scheme === 'grpc', Number(status), 'caller', { flag: 'flag FI' })
    : `${status} from the caller’s sidecar (response flag FI)`
  return endsAt(clientSide(q, route), symptom, [
    'aborted-by-route',
    { status, source: route.because[0]?.source ?? 'default' },
  ])
}

/** The route's cluster is none, or has nobody to choose: nothing is sent. */
export function noUpstream(
  q: Question,
  routed: Clusters,
  choice: ClusterChoice,
  upstream: Upstream | null,
): EndpointAnswer {
  const [, port = '', subset = '', host = ''] = choice.cluster.split('|')
  const destination = host === '' ? null : { host, port: Number(port), subset: subset === '' ? null : subset }
  const symptom = routed.http
    ? answered(q.target.scheme === 'grpc', upstream === null ? routed.status : 503, 'caller', {
        flag: upstream === null ? 'flag NC' : 'flag UH',
      })
    : 'the connection is closed'
  const client: ClientSide = { ...clientSide(q, rewritten(q, routed.route, choice)), destination }
  const source = routed.route.because[0]?.source ?? 'default'
  const service = q.context.scope.byHost.get(host)
  const ending: Ending =
    upstream !== null && service !== undefined
      ? noEndpoint(q, service, Number(port), destination?.subset ?? null)
      : unknownDestination(q, { host, port, subset }, source)
  return { ...endsAt(client, symptom, ending as readonly [End, never]), weight: choice.weight }
}

/** Where the route leads and the caller's sidecar knows nothing. */
function unknownDestination(
  q: Question,
  { host, port, subset }: { readonly host: string; readonly port: string; readonly subset: string },
  source: Source,
): Ending {
  if (host === '') return ['route-without-destination', { source }]
  const seen = q.context.scope.byHost.get(host)
  if (seen !== undefined) {
    if (!seen.ports.some((p) => String(p.number) === port))
      return ['unknown-route-port', { host, port, has: portsOf(seen), source }]
    const defined = (q.context.ruleFor(seen)?.subsets ?? []).map((s) => s.value.name ?? '')
    return ['unknown-subset', { host, subset, defined, source }]
  }
  return [
    'unknown-route-host',
    { host, port, ...unseen(q, q.mesh.servicesByHost.get(host)?.[0], host), source },
  ]
}

function unseen(
  q: Question,
  service: MeshService | undefined,
  host: string,
): { readonly why: string; readonly fix: string } {
  const { namespace } = q.client
  if (service === undefined)
    return {
      why: 'which is the name of no Service and no ServiceEntry',
      fix: `write a host that is one${didYouMean(q, host)}, or add a ServiceEntry for ${host}`,
    }
  const fallback = q.mesh.options.config.defaultServiceExportTo ?? []
  if (!isVisible(service.exportTo, service.namespace, namespace, fallback))
    return {
      why: `which is exported to ${exportedTo(service.exportTo, fallback).join(', ')}, not to ${namespace}`,
      fix: `add ${namespace} to what ${host} is exported to`,
    }
  if (service.externalName !== undefined)
    return {
      why: `which is an alias of ${service.externalName}: a route leads to services, not to aliases`,
      fix: `write ${service.externalName} in the route`,
    }
  const { sidecar } = q.context.scope
  const by =
    sidecar === undefined
      ? 'which this client does not see'
      : `which ${formatRef(refTo(sidecar, 'spec.egress'))} leaves out`
  return { why: by, fix: `add ${service.namespace}/* to the egress hosts of the caller’s Sidecar` }
}
