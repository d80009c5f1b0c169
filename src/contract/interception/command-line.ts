// `redirect …`: istio-iptables' flags, long and short, as injection renders them. Pure.
import { parseArgs } from 'node:util'
import { KithError } from '#lib/errors.ts'
import { cidrsOf, namesOf, orAll, portsOf, type InterceptionOptions } from './options.ts'

export interface RedirectCommand {
  readonly options: InterceptionOptions
  /** Rules are not applied: something else, as a CNI plugin, has done so. */
  readonly skipRules: boolean
  /** Rules are printed, nothing else. */
  readonly dryRun: boolean
  /** One connection must come out at the sidecar's ports. */
  readonly validate: boolean
  readonly validationTimeoutMs: number
  /** What was asked for and is done otherwise, a sentence each. */
  readonly notices: readonly string[]
}

const text = (short?: string) => ({ type: 'string' as const, ...(short === undefined ? {} : { short }) })
const flags = {
  'envoy-port': text('p'), 'inbound-capture-port': text('z'), 'inbound-tunnel-port': text('e'), 'proxy-uid': text('u'), 'proxy-gid': text('g'), 'istio-inbound-interception-mode': text('m'), 'istio-inbound-ports': text('b'), 'istio-local-exclude-ports': text('d'),
  'istio-exclude-interfaces': text('c'), 'istio-service-cidr': text('i'), 'istio-service-exclude-cidr': text('x'), 'istio-outbound-ports': text('q'), 'istio-local-outbound-ports-exclude': text('o'), 'kube-virt-interfaces': text('k'), 'probe-timeout': text(),
  'iptables-probe-port': text(), 'log_output_level': text(), 'network-namespace': text(),
  'istio-inbound-tproxy-mark': text('t'), 'istio-inbound-tproxy-route-table': text('r'),
  'run-validation': { type: 'boolean' }, 'skip-rule-apply': { type: 'boolean' }, 'dry-run': { type: 'boolean', short: 'n' }, 'redirect-dns': { type: 'boolean' }, 'capture-all-dns': { type: 'boolean' }, 'drop-invalid': { type: 'boolean' }, 'native-nftables': { type: 'boolean' }, 'cni-mode': { type: 'boolean' },
  'force-apply': { type: 'boolean' },
} as const

/** @throws KithError FLAG_INVALID with the flag's name */
export function readRedirectCommand(args: readonly string[], families: readonly ('ip' | 'ip6')[]): RedirectCommand {
  const { values } = parse(args)
  const read = <T>(name: keyof typeof flags, take: (given: string) => T | undefined): T | undefined => {
    const given = values[name]
    if (typeof given !== 'string') return undefined
    const taken = take(given.trim())
    if (taken === undefined) throw new KithError('FLAG_INVALID', `--${name} ${JSON.stringify(given)} can’t be read`)
    return taken
  }
  const whole = (given: string): number | undefined => (/^\d+$/.test(given) ? Number(given) : undefined)
  const uid = read('proxy-uid', whole) ?? 1337
  const options: { [K in keyof InterceptionOptions]: InterceptionOptions[K] | undefined } = {
    outboundPort: read('envoy-port', whole), inboundPort: read('inbound-capture-port', whole), exemption: { by: 'owner', uid, gid: read('proxy-gid', whole) ?? uid },
    includeInboundPorts: read('istio-inbound-ports', orAll(portsOf)), excludeInboundPorts: read('istio-local-exclude-ports', portsOf), includeOutboundPorts: read('istio-outbound-ports', portsOf), excludeOutboundPorts: read('istio-local-outbound-ports-exclude', portsOf),
    includeOutboundCidrs: read('istio-service-cidr', orAll(cidrsOf)), excludeOutboundCidrs: read('istio-service-exclude-cidr', cidrsOf), excludeInterfaces: read('istio-exclude-interfaces', namesOf), virtualInterfaces: read('kube-virt-interfaces', namesOf), families,
  }
  return {
    options: Object.fromEntries(Object.entries(options).filter(([, v]) => v !== undefined)) as InterceptionOptions,
    skipRules: values['skip-rule-apply'] === true, dryRun: values['dry-run'] === true, validate: values['run-validation'] === true, validationTimeoutMs: read('probe-timeout', seconds) ?? 5000, notices: notices(values),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: flags, allowPositionals: false })
  } catch (cause) {
    throw new KithError('FLAG_INVALID', (cause as Error).message, { cause })
  }
}

/** Go's durations, as far as anyone writes them here. */
function seconds(given: string): number | undefined {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m)?$/.exec(given)
  return found === null ? undefined : Number(found[1]) * { ms: 1, s: 1000, m: 60_000 }[found[2] ?? 's']!
}

function notices(values: Readonly<Record<string, string | boolean | undefined>>): string[] {
  return [
    ...(values['istio-inbound-interception-mode'] === 'TPROXY' ? ['TPROXY is done as REDIRECT: the application sees its sidecar’s address, and X-Forwarded-For has the client’s'] : []),
    ...(values['redirect-dns'] === true ? ['DNS is not captured: lookups go to the pod’s resolver'] : []),
  ]
}
