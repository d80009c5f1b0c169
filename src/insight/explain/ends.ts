// Every way in which a call ends before it is answered, each with its own words. Law: one row a kind; what is
// not here can't be said, and no row is a default.
import { formatRef } from '#lib/problem.ts'
import type { End, Ends, Source } from './end-facts.ts'
import type { Blocked } from './types.ts'

export type { End, Ends, Source }

interface Words {
  readonly why: string
  readonly fix: readonly string[]
}

const said = (source: Source): string => (source === 'default' ? 'the mesh’s default' : formatRef(source))
const ports = (has: readonly string[]): string => (has.length === 0 ? 'none' : has.join(', '))
const otherPort = (has: readonly string[], add: string): string[] =>
  has.length === 0
    ? [add]
    : [`call ${has.length === 1 ? `port ${has[0]}` : `one of ${has.join(', ')}`}, or ${add}`]
const most = 3

const table: { readonly [K in End]: (facts: Ends[K]) => Words } = {
  'registry-only': ({ host, port, meant, source }) => ({
    why: `${host}:${port} is not known to the mesh, and ${source === 'default' ? 'REGISTRY_ONLY holds' : `${formatRef(source)} says REGISTRY_ONLY`}`,
    fix: [`add a ServiceEntry for ${host}${meant}`],
  }),
  'left-out-by-sidecar': ({ host, port, add, policy, source }) => ({
    why: `${formatRef(source)} leaves ${host}:${port} out of what the caller sees, and ${policy}`,
    fix: [`add ${add} to the egress hosts of ${formatRef(source)}`],
  }),
  'not-exported': ({ host, namespace, to, source }) => ({
    why: `${host} is exported to ${to}, not to ${namespace}, and REGISTRY_ONLY holds`,
    fix: [`add ${namespace} to ${said(source)}`],
  }),
  'unknown-host-header': ({ authority, port, host }) => ({
    why: `the request is for Host ${authority}, which nothing on port ${port} is called, and REGISTRY_ONLY holds`,
    fix: [`send the Host that is meant: ${host}`],
  }),
  'no-such-port': ({ host, port, has }) => ({
    why: `${host} has no port ${port}; it has ${ports(has)}`,
    fix: otherPort(has, `add port ${port} to it`),
  }),
  'other-transport': ({ host, port, has, called }) => ({
    why: `${host} has port ${port} for ${has} alone, and this call is ${called}`,
    fix: [`call ${has.toLowerCase()}://${host}:${port}, or add the port for ${called} to the Service`],
  }),
  'no-pod-selected': ({ host, selector, near, source }) => ({
    why: `no pod has the labels that ${said(source)} asks for (${selector}), so that ${host} has no endpoint`,
    fix: [
      near === null ? `give the pods of ${host} the labels ${selector}` : `${near}: change one of the two`,
    ],
  }),
  'no-pod-ready': ({ host, port, pods }) => ({
    why: `none of the pods behind ${host}:${port} is ready: ${pods.slice(0, most).join(', ')}`,
    fix: [`find out why ${pods[0] ?? 'the pod'} is not ready: its readiness probe, its containers`],
  }),
  'no-target-port': ({ host, port, targetPort, pods, source }) => ({
    why: `port ${port} of ${host} leads to the container port named ${targetPort}, which ${pods.slice(0, most).join(', ')} ${pods.length === 1 ? 'does' : 'do'} not declare`,
    fix: [`name a container port ${targetPort}, or write its number in ${said(source)}`],
  }),
  'scaled-to-zero': ({ host, workload, source }) => ({
    why: `${host} has no endpoint: ${workload} runs no replica (${said(source)})`,
    fix: [`scale ${workload} up`],
  }),
  'no-selector': ({ host, port }) => ({
    why: `${host} has no selector, and no EndpointSlice gives it an endpoint for port ${port}`,
    fix: ['add a selector to the Service, or an EndpointSlice for it'],
  }),
  'subset-without-pods': ({ host, subset, labels, near, source }) => ({
    why: `no pod of ${host} has the labels of subset ${subset} (${labels}), so that it has no endpoint`,
    fix: [near === null ? `check the labels of ${said(source)}` : `${near}: change one of the two`],
  }),
  'entry-without-endpoints': ({ host, port, source }) => ({
    why: `${said(source)} gives ${host} no endpoint for port ${port}`,
    fix: ['add endpoints with this port to it, or resolution: DNS'],
  }),
  'unknown-route-host': ({ host, port, why, fix }) => ({
    why: `the route leads to ${host}${port === '' || port === '0' ? '' : `:${port}`}, ${why}`,
    fix: [fix],
  }),
  'unknown-route-port': ({ host, port, has }) => ({
    why: `the route leads to port ${port} of ${host}, which has ${ports(has)}`,
    fix: [`write one of its ports in the route: ${ports(has)}`],
  }),
  'unknown-subset': ({ host, subset, defined }) => ({
    why: `the route leads to subset ${subset} of ${host}, which no DestinationRule that this client goes by defines${defined.length === 0 ? '' : ` (there are ${defined.join(', ')})`}`,
    fix: [`define subset ${subset} in a DestinationRule for ${host} that this client sees`],
  }),
  'route-without-destination': ({ source }) => ({
    why: `${said(source)} leads nowhere: none of its destinations has a weight`,
    fix: ['give one of its destinations a weight'],
  }),
  'no-route-matches': ({ failed, source }) => ({
    why: `${said(source)} took this host over, and none of its rules matches the call${
      failed.length === 0
        ? ''
        : `: ${failed
            .slice(0, most)
            .map((f) => `${f.rule}: ${f.why}`)
            .join('; ')}`
    }`,
    fix: [`add a rule without match to ${said(source)} as the last one, or a match that holds for this call`],
  }),
  'answered-by-route': ({ status, location, source }) => ({
    why:
      location === undefined
        ? `${said(source)} answers by itself with ${status}`
        : `${said(source)} answers with a redirect to ${location}`,
    fix: [
      location === undefined
        ? `take the directResponse out of ${said(source)}, or narrow its match, if this call is to reach a server`
        : `call ${location}, or narrow the match of ${said(source)}`,
    ],
  }),
  'aborted-by-route': ({ status, source }) => ({
    why: `${said(source)} aborts every call on purpose (fault.abort) with ${status}`,
    fix: ['remove fault.abort from the route, or lower its percentage'],
  }),
  'tls-to-http-port': ({ port, name, originates, source }) => ({
    why: `port ${port} of ${name} is declared as HTTP, and the application sends TLS`,
    fix:
      originates === null
        ? [
            'speak plain http:// from the application; the sidecars make the TLS',
            `or declare the port as HTTPS (${said(source)}: a name that begins with https-, or appProtocol), so that TLS passes through`,
          ]
        : [`call http://${name}:${port}: the sidecar makes the TLS to the server (${originates})`],
  }),
  'unreadable-path': ({ path, where }) => ({
    why: `${where} can’t read the path ${path}: it holds a null byte or a fragment`,
    fix: ['send a path as RFC 3986 has it'],
  }),
  'costly-expression': ({ where }) => ({
    why: `a value of the request is too long for a regular expression that ${where} compares it with, so it is refused`,
    fix: ['send a shorter value', 'or write a smaller expression (prefix and exact matches cost next to nothing)'],
  }),
  'refused-method': ({ method }) => ({
    why: `the method ${method} has small letters: no policy on ${method.toUpperCase()} would see it, so sidecars refuse it`,
    fix: [`send ${method.toUpperCase()}`],
  }),
  'tls-in-tls': ({ host, port, mode, http, source }) => ({
    why: `the application sends TLS, and ${said(source)} has the sidecar put it into TLS once more (${mode}): ${host}:${port} ends the outer one and finds TLS where it expects the request`,
    fix: [
      http === null
        ? `let the application speak plaintext to ${host}:${port}; the sidecar makes the TLS`
        : `call ${http} from the application; the sidecar makes the TLS`,
      `or remove tls from ${said(source)}, so that the application’s own TLS passes through`,
    ],
  }),
  'mesh-tls-without-sidecar': ({ server, bare, by, fix }) => ({
    why: `${by} asks for the mesh’s mutual TLS, and ${server} ${bare}`,
    fix,
  }),
  'unexpected-identity': ({ server, expected, presented, source }) => ({
    why: `the client expects ${expected}, and ${server}’s certificate names ${presented}`,
    fix: [
      source === 'default'
        ? 'let the Service’s pods run under the accounts that the client knows'
        : `change subjectAltNames in ${formatRef(source)}`,
    ],
  }),
  'plaintext-to-strict': ({ where, because, fix }) => ({
    why: `${where} is STRICT, and the client sends plaintext: ${because}`,
    fix,
  }),
  'foreign-tls-to-strict': ({ where, mode, who, fix }) => ({
    why: `${where} is ${mode}, and the ${who} TLS shows no certificate of the mesh`,
    fix,
  }),
  'mesh-tls-to-plaintext': ({ where, source, fix }) => ({
    why: `${said(source)} turns mutual TLS off on ${where}, so that nothing there ends the client’s TLS`,
    fix,
  }),
  'foreign-tls-to-http': ({ where, who, fix }) => ({
    why: `${where} carries HTTP, where a sidecar ends no TLS but the mesh’s own, and the ${who} sends TLS`,
    fix,
  }),
  'other-trust-domain': ({ where, identity }) => ({
    why: `${where} takes certificates of its own trust domain and its aliases alone, and the caller is ${identity}`,
    fix: ['name the caller’s trust domain in meshConfig.trustDomainAliases'],
  }),
  'plaintext-to-own-tls': ({ where, certificate }) => ({
    why: `${where} takes TLS alone, and the client sends plaintext: its Sidecar’s ingress ends TLS there by a certificate of its own, ${certificate}`,
    fix: [
      'originate TLS: a DestinationRule with mode SIMPLE or MUTUAL',
      'speak https:// from the application',
    ],
  }),
  'mesh-tls-to-own-tls': ({ where, certificate, fix }) => ({
    why: `the client expects a certificate of the mesh, and ${where} shows another: its Sidecar’s ingress ends TLS there by a certificate of its own, ${certificate}`,
    fix,
  }),
  'no-client-certificate': ({ where, certificate, fix }) => ({
    why: `${where} asks for a client’s certificate (its Sidecar’s ingress ends TLS there by ${certificate}, mode MUTUAL), and the client shows none`,
    fix,
  }),
  'token-refused': ({ server, rules, message, fix }) => ({
    why: `${server} verifies tokens (${rules}), and this one does not hold: ${message}`,
    fix: [fix],
  }),
  'denied-by-rule': ({ where, source }) => ({
    why: `${said(source)} denies this call to ${where}`,
    fix: [`narrow ${said(source)}, so that it does not match this call`],
  }),
  'allowed-by-none': ({ where, caller, failed, source }) => ({
    why:
      failed.length === 0
        ? `no ALLOW rule of ${where} lets ${caller} make this call: ${said(source)} has no rule`
        : `no ALLOW rule of ${where} lets ${caller} make this call: ${failed
            .slice(0, most)
            .map((f) => `${f.rule}: ${f.why}`)
            .join('; ')}`,
    fix:
      failed.length === 0
        ? [`add a rule to ${said(source)} that matches this call`]
        : [...new Set(failed.map((f) => f.fix))].slice(0, most),
  }),
}

/** `symptom`: what the caller sees of it. */
export function blockedBy<K extends End>(
  end: K,
  at: Blocked['at'],
  symptom: string,
  facts: Ends[K],
): Blocked {
  return { end, at, ...table[end](facts), symptom, source: facts.source, instead: [] }
}

export const ends = Object.keys(table) as readonly End[]
