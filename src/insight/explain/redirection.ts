// Whether the application's own connection meets its sidecar at all. Law: the pod's rule set is asked, as the
// kernel would ask it; nothing is decided here.
import { isIPv6 } from 'node:net'
import { passage, type Connection, type Passage, type PodInterception } from '#interception'
import type { Decided, Reason } from '#lib/decided.ts'
import { refTo } from '#api'
import { interceptionFor, sayingOf, type Workload } from '#mesh'

/** Where a connection of the application goes first. */
export interface Way {
  /** As DNS gave it; undefined: an address that only DNS outside the mesh knows. */
  readonly address: string | undefined
  /** The caller's own pod answers at this address. */
  readonly own: boolean
  /** Of the pods that may answer there, the share that this way stands for. */
  readonly weight: number
  /** By the caller's sidecar, as its outbound traffic. */
  readonly redirected: Decided<boolean>
  /**
   * A process of the sidecar's user that calls its own pod comes in by the front door, as a stranger's call
   * would.
   */
  readonly asInbound: boolean
  /** To change so that the sidecar gets it. */
  readonly fix: readonly string[]
  /** What this rests on; null: nothing. */
  readonly provided: string | null
}

type Protocol = Connection['protocol']

/** Each address that the application may connect to, with what the rules make of it. */
export function waysOut(
  client: Workload,
  addresses: readonly string[],
  port: number,
  protocol: Protocol,
): Way[] {
  if (addresses.length === 0) return [unknownWay(client, port, protocol)]
  return addresses.flatMap((address): Way[] => {
    if (!client.addresses.includes(address)) return [wayTo(client, address, port, protocol, false, 1)]
    const pods = podsAt(client)
    return [
      wayTo(client, address, port, protocol, true, 1 / pods),
      ...(pods === 1 ? [] : [wayTo(client, address, port, protocol, false, (pods - 1) / pods)]),
    ]
  })
}

/**
 * A template stands for all of its pods, with one address. Of a DaemonSet nobody knows how many: more than
 * one.
 */
export function podsAt({ object }: Workload): number {
  if (object.kind === 'Pod') return 1
  const { replicas } = object.spec as { readonly replicas?: number }
  return object.kind === 'DaemonSet' ? 2 : Math.max(1, replicas ?? 1)
}

function wayTo(
  client: Workload,
  address: string,
  port: number,
  protocol: Protocol,
  own: boolean,
  weight: number,
): Way {
  const network = address.split('/')[0] as string
  return {
    address,
    own,
    weight,
    ...decide(client, opened(client, network, port, protocol, own), own),
    provided: users(client),
  }
}

/**
 * Opened by the application, in its pod's network namespace; of a virtual machine it arrives by that
 * machine's interface.
 */
function opened(
  client: Workload,
  destination: string,
  port: number,
  protocol: Protocol,
  own: boolean,
): Connection {
  const rules = interceptionFor(client)
  const machine = rules.options.virtualInterfaces?.[0]
  if (machine !== undefined && !own)
    return { hook: 'prerouting', protocol, destination, port, interface: machine }
  const sidecar = rules.options.exemption?.by === 'owner' ? rules.options.exemption : { uid: 1337, gid: 1337 }
  return {
    hook: 'output',
    protocol,
    destination,
    port,
    interface: own ? 'lo' : 'eth0',
    ...(own ? { source: destination } : {}),
    owner: rules.allAsSidecar ? sidecar : { uid: 0, gid: 0 },
  }
}

/** The client's sidecar connects to its own pod: by the loopback, as the sidecar's user. */
export function meetsOwnSidecar(client: Workload, destination: string, port: number): boolean {
  const { table, options } = interceptionFor(client)
  const { uid, gid } = options.exemption?.by === 'owner' ? options.exemption : { uid: 1337, gid: 1337 }
  return (
    table !== null &&
    passage(table, {
      hook: 'output',
      protocol: 'tcp',
      destination,
      port,
      interface: 'lo',
      source: destination,
      owner: { uid, gid },
    }).redirectedTo !== null
  )
}

type Verdict = Pick<Way, 'redirected' | 'asInbound' | 'fix'>

function decide(client: Workload, connection: Connection, own: boolean): Verdict {
  const rules = interceptionFor(client)
  if (rules.table === null)
    return kept(
      client,
      'capture.mode',
      'mode',
      'remove the interception mode NONE, so that the pod’s traffic is redirected to its sidecar',
    )
  const found = passage(rules.table, connection)
  if (found.redirectedTo !== null && found.option !== 'exemption')
    return {
      redirected: {
        value: true,
        because: [
          {
            rule: 'capture.redirected',
            source: found.option === null ? 'default' : sayingOf(client, found.option),
            effect: 'chosen',
          },
        ],
      },
      asInbound: false,
      fix: [],
    }
  return reasonFor(client, connection, found, own, rules)
}

function reasonFor(
  client: Workload,
  { protocol, destination, port }: Connection,
  { option, redirectedTo }: Passage,
  own: boolean,
  rules: PodInterception,
): Verdict {
  const at = `${client.name}.${client.namespace}`
  if (protocol === 'udp') return { redirected: because('capture.udp', 'default'), asInbound: false, fix: [] }
  if (option === 'exemption') {
    const path = rules.asSidecar[0]?.path ?? ''
    return {
      redirected: because('capture.sidecar-user', refTo(client.object, `${client.podPath}spec.${path}`)),
      asInbound: redirectedTo !== null,
      fix: [`let the application of ${at} run as another user and group than the sidecar’s`],
    }
  }
  if (own && option === null)
    return {
      redirected: because('capture.own-address', 'default'),
      asInbound: false,
      fix: ['call the Service by its virtual address: that goes by way of the sidecar'],
    }
  switch (option) {
    case 'excludeOutboundPorts':
      return kept(client, 'capture.port', option, `take port ${port} out of ${name(client, option)}`)
    case 'excludeOutboundCidrs':
      return kept(
        client,
        'capture.range',
        option,
        `leave ${destination} out of what ${name(client, option)} excludes`,
      )
    case 'includeOutboundCidrs':
    case 'virtualInterfaces':
      return kept(
        client,
        'capture.include',
        'includeOutboundCidrs',
        `add ${destination} to ${name(client, 'includeOutboundCidrs')}`,
      )
    case 'excludeInterfaces':
      return kept(client, 'capture.interface', option, `take the interface out of ${name(client, option)}`)
    default:
      return { redirected: because('capture.loopback', 'default'), asInbound: false, fix: [] }
  }
}

const because = (rule: string, source: Reason['source']): Decided<boolean> => ({
  value: false,
  because: [{ rule, source, effect: 'chosen' }],
})

function kept(client: Workload, rule: string, option: Parameters<typeof sayingOf>[1], fix: string): Verdict {
  return { redirected: because(rule, sayingOf(client, option)), asInbound: false, fix: [fix] }
}

/** The annotation's name, or where else it is said. */
function name(client: Workload, option: Parameters<typeof sayingOf>[1]): string {
  const path = interceptionFor(client).said(option)?.path
  return path === undefined
    ? 'the injector’s values'
    : path.startsWith('annotations.')
      ? `the annotation ${path.slice('annotations.'.length)}`
      : `the arguments of the pod’s init container`
}

/** Some containers run as the sidecar's user, and others do not. */
function users(client: Workload): string | null {
  const { asSidecar, allAsSidecar } = interceptionFor(client)
  return asSidecar.length === 0 || allAsSidecar
    ? null
    : `a container other than ${asSidecar.map((c) => c.name).join(', ')} makes the call: what runs as the sidecar’s own user passes it by`
}

/** Each network that the rules name stands for its addresses, one address outside of all for the others. */
function unknownWay(client: Workload, port: number, protocol: Protocol): Way {
  const { options } = interceptionFor(client)
  const six = client.addresses.length > 0 && client.addresses.every((a) => isIPv6(a))
  const elsewhere = six ? '2001:db8::1' : '192.0.2.1'
  const included =
    options.includeOutboundCidrs === undefined || options.includeOutboundCidrs === '*'
      ? []
      : options.includeOutboundCidrs
  const named = [...included, ...(options.excludeOutboundCidrs ?? [])].filter(
    (c) => isIPv6(c.split('/')[0] as string) === six,
  )
  const usual = wayTo(client, elsewhere, port, protocol, false, 1)
  const others = named.filter(
    (cidr) => wayTo(client, cidr, port, protocol, false, 1).redirected.value !== usual.redirected.value,
  )
  if (others.length === 0) return { ...usual, address: undefined }
  const rests = `the address that DNS gives lies outside of ${others.join(', ')}: to an address inside, the call goes ${usual.redirected.value ? 'past the caller’s sidecar' : 'through the caller’s sidecar'}`
  return {
    ...usual,
    address: undefined,
    provided: usual.provided === null ? rests : `${rests}; ${usual.provided}`,
  }
}
