// Of a blocked call: the VirtualServices and DestinationRules that have no say, and by which it would go
// through. Law: each is tried, with the engine; none is guessed.
import type { DestinationRule, VirtualService } from '#api'
import { refTo } from '#api'
import { hostCovers, resolveHost, type Mesh } from '#mesh'
import type { End } from './ends.ts'
import type { Question } from './question.ts'
import { ruleNotApplied } from './rules-not-applied.ts'
import type { Call, Explanation, NotApplied } from './types.ts'

type Explain = (mesh: Mesh, call: Call, namespace: string) => Explanation

/** Ends that another route or another DestinationRule would avoid. */
const byRoute: ReadonlySet<End> = new Set([
  'no-route-matches',
  'answered-by-route',
  'aborted-by-route',
  'unknown-route-host',
  'unknown-route-port',
  'unknown-subset',
  'route-without-destination',
  'subset-without-pods',
  'no-pod-selected',
  'scaled-to-zero',
  'no-pod-ready',
])
const byRule: ReadonlySet<End> = new Set([
  'unknown-subset',
  'subset-without-pods',
  'plaintext-to-strict',
  'foreign-tls-to-strict',
  'foreign-tls-to-http',
  'mesh-tls-to-plaintext',
  'mesh-tls-without-sidecar',
  'unexpected-identity',
  'tls-in-tls',
  'plaintext-to-own-tls',
  'mesh-tls-to-own-tls',
  'no-client-certificate',
])
/** A mesh may have hundreds for one host. */
const mostTried = 8

export function instead(
  q: Question,
  call: Call,
  namespace: string,
  answer: Explanation,
  explain: Explain,
): NotApplied[] {
  const { blocked, client } = answer
  if (blocked === null || client.redirected?.value !== true) return []
  const other = { ...q.mesh }
  const goesThrough = (mesh: Mesh, has: NotApplied['source']): boolean => {
    const then = explain({ ...other, ...mesh }, call, namespace)
    return (
      then.outcome !== 'blocked' &&
      (has.kind === 'DestinationRule' ||
        [then.client, ...then.endpoints.map((e) => e.client)].some((c) =>
          c.route.because.some(
            (r) =>
              r.source !== 'default' &&
              r.source.kind === 'VirtualService' &&
              r.source.name === has.name &&
              r.source.namespace === has.namespace,
          ),
        ))
    )
  }
  return [
    ...(byRoute.has(blocked.end) ? routes(q, answer, goesThrough) : []),
    ...(byRule.has(blocked.end) ? rules(q, answer, goesThrough) : []),
  ]
}

type Try = (mesh: Mesh, has: NotApplied['source']) => boolean

/** Another VirtualService for the host: its younger rival, or one that is not exported to the caller. */
function routes(
  { mesh, client, resolved, target }: Question,
  { client: { route } }: Explanation,
  goesThrough: Try,
): NotApplied[] {
  const host = resolved.service?.host ?? target.host
  const covers = (v: VirtualService): boolean =>
    (v.spec.hosts ?? []).some((h) =>
      hostCovers(resolveHost(h, v.metadata.namespace, mesh.options.domain), host),
    )
  const forMesh = (v: VirtualService): boolean =>
    (v.spec.gateways ?? []).length === 0 || (v.spec.gateways ?? []).includes('mesh')
  const [chosen] = route.because
  const taken = mesh.virtualServices.find(
    (v) =>
      chosen !== undefined &&
      chosen.source !== 'default' &&
      v.metadata.name === chosen.source.name &&
      v.metadata.namespace === chosen.source.namespace,
  )
  const rivals = mesh.virtualServices
    .filter((v) => v !== taken && covers(v) && forMesh(v))
    .slice(0, mostTried)
  const others = mesh.virtualServices.filter((v) => !covers(v))
  return rivals.flatMap((v): NotApplied[] => {
    const alone = { ...v, spec: { ...v.spec, exportTo: ['*'] } }
    const source = refTo(v, 'spec')
    if (!goesThrough({ ...mesh, virtualServices: [...others, alone] }, source)) return []
    const to = v.spec.exportTo ?? []
    const hidden =
      to.length > 0 &&
      !to.includes('*') &&
      !to.includes(client.namespace) &&
      !(to.includes('.') && v.metadata.namespace === client.namespace)
    return [
      {
        source,
        why: hidden
          ? `it would let the call through, and is exported to ${to.join(', ')}, not to ${client.namespace}`
          : `it would let the call through, and is ignored: of several VirtualServices for one host the first counts alone${taken === undefined ? '' : `, which is ${taken.metadata.namespace}/${taken.metadata.name}`}`,
      },
    ]
  })
}

/** Another DestinationRule for the host that the route leads to. */
function rules(q: Question, { client }: Explanation, goesThrough: Try): NotApplied[] {
  const { mesh } = q
  const host = client.destination?.host
  if (host === undefined) return []
  const covers = (r: DestinationRule): boolean =>
    hostCovers(resolveHost(r.spec.host ?? '', r.metadata.namespace, mesh.options.domain), host)
  const others = mesh.destinationRules.filter((r) => !covers(r))
  return mesh.destinationRules
    .filter(covers)
    .flatMap((r): NotApplied[] => {
      const why = ruleNotApplied(q, host, r)
      if (why === undefined) return []
      const { workloadSelector: _, ...spec } = r.spec
      const alone: DestinationRule = {
        ...r,
        metadata: { ...r.metadata, namespace: q.client.namespace },
        spec: { ...spec, host, exportTo: ['*'] },
      }
      return goesThrough({ ...mesh, destinationRules: [...others, alone] }, refTo(r))
        ? [{ source: why.source, why: `it would let the call through, and has no say: ${why.why}` }]
        : []
    })
    .slice(0, mostTried)
}
