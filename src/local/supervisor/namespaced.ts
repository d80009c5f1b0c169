// Pods as network namespaces on one bridge, all inside the sandbox that `unshare` made. Needs no tool but setpriv.
// Law: every change here is inside the sandbox's own namespaces; when its first process ends, the kernel takes all of it away.
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { configureLinks, inNamespaces, loopbackIndex, markedSocket, newMountNamespace, newNetworkNamespace, replaceTable } from '#netlink'
import { interceptionOf, interceptionRules, sidecarMark, type Exemption } from '#interception'
import { applyTable, hasIpv6 } from '#redirect'
import type { Names } from '../names.ts'
import { resolvConf } from '../names.ts'
import { serviceRules } from '../service-rules.ts'
import { DnsServer } from './dns-server.ts'
import { arrangeContainer, writeContainerFiles, writeToken } from './mounts.ts'
import type { PlaceRequest, PodPlace, Role, Sandbox, Spawn } from './place.ts'
import { track } from './process-world.ts'

const bridgeIndex = 2
const podInterface = 2
const gateway = '10.244.0.1'
const dnsService = '10.96.0.10'
const controlPlanePort = 15012
const statusPort = 15014
const firstLink = 10

export interface NamespacedOptions {
  /** The folder in which sidecars find root-cert.pem. */
  readonly rootCertDir: string
  readonly podsDir: string
  readonly domain: string
  /** uid 1337 where users other than our own exist and can read the programs; a mark else. */
  readonly exemption: Exemption
  /** Who applications run as; default: whoever we are. */
  readonly applicationUser?: { readonly uid: number; readonly gid: number }
}

export function namespacedSandbox(options: NamespacedOptions): Sandbox {
  configureLinks([
    { kind: 'up', index: loopbackIndex }, { kind: 'bridge', name: 'kith0', index: bridgeIndex }, { kind: 'address', index: bridgeIndex, address: gateway, prefixLength: 32 },
    { kind: 'address', index: bridgeIndex, address: dnsService, prefixLength: 32 }, { kind: 'up', index: bridgeIndex },
    ...['10.244.0.0/16', '203.0.113.0/24'].map((destination) => ({ kind: 'route' as const, index: bridgeIndex, destination })),
  ])
  // All pods' traffic goes through here, both ways, so that services' translations see answers too.
  setting('net/ipv4/ip_forward', '1')
  for (const which of ['all', 'kith0']) setting(`net/ipv4/conf/${which}/send_redirects`, '0')
  setting('net/ipv4/ip_unprivileged_port_start', '0')
  const dns = new DnsServer([gateway, dnsService])
  let links = firstLink
  let rules = ''
  const place = (what: PlaceRequest): PodPlace => {
    const link = links++
    const network = newNetworkNamespace()
    configureLinks([{ kind: 'veth', name: `pod${link}`, index: link, bridge: bridgeIndex, peer: { name: 'eth0', index: podInterface, namespace: network } }, { kind: 'up', index: link }])
    if (!/^(203\.0\.113|10\.244)\./.test(what.address)) configureLinks([{ kind: 'route', index: bridgeIndex, destination: `${what.address}/32` }])
    inNamespaces({ network }, () => preparePod(what, options.exemption))
    return new NamespacedPod(what, network, link, options)
  }
  return {
    mode: 'namespaced', controlPlaneAddress: `${gateway}:${controlPlanePort}`, statusPort,
    placePod: place,
    placeExternal: (name, address, ports) => place({ uid: `external-${name}`, namespace: 'default', name, hostname: name, address, injected: false, annotations: {}, ports }),
    publish(names: Names) {
      dns.publish(names)
      const table = serviceRules(names.mesh)
      const text = JSON.stringify(table)
      if (text !== rules) replaceTable(table, rules === '')
      rules = text
    },
    // Under sudo it reads a folder that is not root's.
    spawnSystem: (what) => start(['--bounding-set=-all,+dac_read_search', '--inh-caps=-all', '--no-new-privs'], what),
    close: () => dns.close(),
  }
}

/** Inside the pod's namespace: its addresses, its way out, what the cluster's node would set, and the rules of an injected pod. */
function preparePod(what: PlaceRequest, exemption: Exemption): void {
  configureLinks([
    { kind: 'up', index: loopbackIndex }, { kind: 'address', index: podInterface, address: what.address, prefixLength: 32 }, { kind: 'up', index: podInterface },
    { kind: 'route', index: podInterface, destination: `${gateway}/32` }, { kind: 'route', index: podInterface, destination: 'default', gateway },
  ])
  setting('net/ipv4/ip_unprivileged_port_start', '0')
  if (!what.injected) return
  const { options: own, mode } = interceptionOf(what.annotations)
  if (mode === 'NONE') return
  // The sidecar speaks to the control plane unmarked, so with marks its address is left out.
  const excluded = [...(own.excludeOutboundCidrs ?? []), ...(exemption.by === 'mark' ? [`${gateway}/32`] : [])]
  applyTable(interceptionRules({ ...own, excludeOutboundCidrs: excluded, exemption, families: hasIpv6() ? ['ip', 'ip6'] : ['ip'] }), true)
}

/** /proc/sys/net shows the calling thread's network namespace. */
function setting(path: string, value: string): void {
  writeFileSync(`/proc/sys/${path}`, value)
}

/** setpriv takes rights away and becomes the program. */
function start(rights: readonly string[], what: Spawn): ChildProcess {
  return track(spawn('setpriv', [...rights, '--', ...what.argv], { cwd: what.cwd, env: what.env, stdio: [what.stdin === true ? 'pipe' : 'ignore', 'pipe', 'pipe'], detached: true }))
}

class NamespacedPod implements PodPlace {
  readonly address: string
  readonly sidecarEnv: Readonly<Record<string, string>>
  readonly applicationEnv = {}
  readonly variables: Readonly<Record<string, string>>
  readonly #network: number
  readonly #link: number
  readonly #mounts: Partial<Record<Role, number>> = {}
  readonly #exemption: Exemption
  readonly #dir: string
  readonly #user: NamespacedOptions['applicationUser']

  constructor(what: PlaceRequest, network: number, link: number, options: NamespacedOptions) {
    this.address = what.address
    this.variables = { ...Object.fromEntries(what.ports.map((p) => [`PORT_${p}`, String(p)])), FILE_ROOT: '' }
    this.#network = network
    this.#link = link
    this.#exemption = options.exemption
    this.sidecarEnv = options.exemption.by === 'mark' ? { KITH_PROXY_MARK: String(sidecarMark) } : {}
    const dir = `${options.podsDir}/${what.uid}`
    mkdirSync(dir, { recursive: true })
    this.#dir = dir
    this.#user = options.applicationUser
    const files = writeContainerFiles(dir, {
      resolvConf: resolvConf(what.namespace, gateway, options.domain), hostname: what.hostname, address: what.address,
      ...(what.token === undefined ? {} : { token: what.token, tokenOwner: options.exemption.by === 'owner' ? options.exemption.uid : 0 }),
    })
    this.#mounts.application = newMountNamespace(() => arrangeContainer(files, undefined))
    if (what.injected) this.#mounts.sidecar = newMountNamespace(() => arrangeContainer(files, options.rootCertDir))
  }

  spawn(role: Role, what: Spawn): ChildProcess {
    const mount = this.#mounts[role]
    return inNamespaces({ network: this.#network, ...(mount === undefined ? {} : { mount }) }, () => start(this.#rights(role), what))
  }

  #rights(role: Role): string[] {
    const none = ['--inh-caps=-all', '--no-new-privs']
    if (role === 'application') return [...(this.#user === undefined ? [] : [`--reuid=${this.#user.uid}`, `--regid=${this.#user.gid}`, '--clear-groups']), '--bounding-set=-all', ...none]
    if (this.#exemption.by === 'mark') return ['--bounding-set=-all,+net_admin', ...none]
    return [`--reuid=${this.#exemption.uid}`, `--regid=${this.#exemption.gid}`, '--clear-groups', '--bounding-set=-all', ...none]
  }

  connect(port: number, loopback = false): Socket {
    return inNamespaces({ network: this.#network }, () => markedSocket({ family: 4 })).connect({ host: loopback ? '127.0.0.1' : this.address, port })
  }

  renewToken(token: string): void {
    writeToken(this.#dir, token, this.#exemption.by === 'owner' ? this.#exemption.uid : 0)
  }

  release(): void {
    for (const pid of processesIn(this.#network)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It went by itself.
      }
    }
    for (const fd of [this.#network, ...Object.values(this.#mounts)]) closeSync(fd)
    try {
      configureLinks([{ kind: 'delete', index: this.#link }])
    } catch {
      // The link goes with the namespace as soon as its last process has gone.
    }
  }
}

/** Every process whose network namespace this is. */
function processesIn(network: number): number[] {
  const { ino } = fstatSync(network)
  return readdirSync('/proc').filter((n) => /^\d+$/.test(n)).map(Number).filter((pid) => {
    try {
      return pid !== process.pid && statSync(`/proc/${pid}/ns/net`).ino === ino
    } catch {
      return false
    }
  })
}
