// Pods without namespaces: all share the loopback, each has a few ports of it that stand for its address; the sidecar is reached by HTTP_PROXY.
// For macOS, and where namespaces are forbidden. What it cannot do: catch a program that ignores HTTP_PROXY, or one that insists on its port.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { KithError } from '#lib/errors.ts'
import { endpointsOf } from '#mesh'
import type { Names } from '../names.ts'
import { startOf } from '../state-dir.ts'
import { writeToken } from './mounts.ts'
import type { PlaceRequest, PodPlace, Role, Sandbox, Spawn } from './place.ts'
import { servePlainProxy, type PlainProxy } from './plain-proxy.ts'
import { track } from './process-world.ts'

export interface ExplicitOptions {
  readonly stateDir: string
  readonly podsDir: string
  readonly domain: string
}

/** Below the ephemeral range, so that no client's own port is in the way. */
const firstBlock = 20_000
const blockPorts = 400
const blocks = 30
const portsOfSidecar = 4

export async function explicitSandbox(options: ExplicitOptions): Promise<Sandbox> {
  const { base, lock } = await takeBlock(options.stateDir)
  const pods: ExplicitPod[] = []
  const proxies: PlainProxy[] = []
  // Without this a killed supervisor would leave its children behind; where it is missing, `kith down` finds them by their record.
  const wrapper = spawnSync('setpriv', ['--version']).error === undefined ? ['setpriv', '--pdeathsig', 'KILL', '--'] : []
  let next = base + 1
  const port = (): number => {
    if (next >= base + blockPorts) throw new KithError('PORTS_EXHAUSTED', `explicit mode has ${blockPorts} ports a mesh, and they are given away`)
    return next++
  }
  const start = (what: Spawn): ChildProcess => {
    const [program = '', ...rest] = [...wrapper, ...what.argv]
    const child = track(spawn(program, rest, { cwd: what.cwd, env: what.env, stdio: [what.stdin === true ? 'pipe' : 'ignore', 'pipe', 'pipe'], detached: true }))
    if (child.pid !== undefined) appendFileSync(`${options.stateDir}/processes`, `${child.pid} ${startOf(child.pid)}\n`)
    return child
  }
  const controlPlanePort = port()
  const statusPort = port()
  let names: Names | undefined
  const dial = (): Record<string, string> => Object.assign({}, ...pods.map((p) => p.dial())) as Record<string, string>
  const place = (what: PlaceRequest): PodPlace => {
    const httpProxy = port()
    const pod = new ExplicitPod(what, { dir: `${options.podsDir}/${what.uid}`, rootCert: `${options.stateDir}/root-cert/root-cert.pem`, port, httpProxy, start })
    pods.push(pod)
    if (!what.injected) proxies.push(servePlainProxy(httpProxy, (host, p) => whereTo(names, dial(), host, p)))
    return pod
  }
  return {
    mode: 'explicit', controlPlaneAddress: `127.0.0.1:${controlPlanePort}`, statusPort, placePod: place,
    placeExternal: (name, address, ports) => place({ uid: `external-${name}`, namespace: 'default', name, hostname: name, address, injected: false, annotations: {}, ports }),
    publish(now) {
      names = now
      const hosts = hostTable(now)
      const table = dial()
      for (const pod of pods) pod.writeDialMap(table, hosts)
    },
    spawnSystem: start,
    close() {
      lock.close()
      for (const p of proxies) p.close()
    },
  }
}

interface PodPorts {
  readonly dir: string
  readonly rootCert: string
  readonly httpProxy: number
  port(): number
  start(what: Spawn): ChildProcess
}

class ExplicitPod implements PodPlace {
  readonly address: string
  readonly sidecarEnv: Readonly<Record<string, string>>
  readonly applicationEnv: Readonly<Record<string, string>>
  readonly variables: Readonly<Record<string, string>>
  readonly #what: PlaceRequest
  readonly #ports: PodPorts
  /** Declared port → where the application listens, and where the sidecar does in its stead. */
  readonly #local = new Map<number, { readonly app: number; readonly inbound: number }>()
  readonly #children = new Set<ChildProcess>()
  #written = ''
  #started = false

  constructor(what: PlaceRequest, ports: PodPorts) {
    this.#what = what
    this.#ports = ports
    this.address = what.address
    mkdirSync(ports.dir, { recursive: true })
    for (const declared of what.ports) this.#local.set(declared, { app: ports.port(), inbound: what.injected ? ports.port() : 0 })
    const base = what.injected ? Array.from({ length: portsOfSidecar }, () => ports.port())[0] : undefined
    if (what.token !== undefined) {
      mkdirSync(`${ports.dir}/tokens`, { recursive: true })
      writeToken(ports.dir, what.token, 0)
    }
    const proxy = `http://127.0.0.1:${ports.httpProxy}`
    const first = [...this.#local.values()][0]
    // What a namespace would show at its own place, such as /var/run, stands below this folder.
    const fileRoot = `${dirname(ports.rootCert)}/files`
    this.variables = { ...Object.fromEntries([...this.#local].map(([declared, { app }]) => [`PORT_${declared}`, String(app)])), FILE_ROOT: fileRoot }
    this.applicationEnv = { HTTP_PROXY: proxy, http_proxy: proxy, NODE_USE_ENV_PROXY: '1', NO_PROXY: '', ...(first === undefined ? {} : { PORT: String(first.app) }), ...this.variables }
    this.sidecarEnv = base === undefined ? {} : { KITH_INTERCEPTION: 'NONE', KITH_DIAL_MAP: `${ports.dir}/dial.json`, KITH_PORT_BASE: String(base), KITH_TOKEN_PATH: `${ports.dir}/tokens/istio-token`, KITH_ROOT_CERT_PATH: ports.rootCert, KITH_FILE_ROOT: fileRoot }
  }

  dial(): Record<string, string> {
    return Object.fromEntries([...this.#local].map(([declared, { app, inbound }]) => [`${this.address}:${declared}`, `127.0.0.1:${this.#what.injected ? inbound : app}`]))
  }

  writeDialMap(dial: Readonly<Record<string, string>>, hosts: Readonly<Record<string, string>>): void {
    if (!this.#what.injected) return
    const inbound = [...this.#local].map(([declared, { app, inbound: at }]) => ({ listen: `127.0.0.1:${at}`, originalDestination: `${this.address}:${declared}`, app: `127.0.0.1:${app}` }))
    const { namespace } = this.#what
    const text = JSON.stringify({ dial, inbound, httpProxy: `127.0.0.1:${this.#ports.httpProxy}`, hosts: { ...hosts, ...ownNamespace(hosts, namespace) } })
    if (text === this.#written) return
    this.#written = text
    writeFileSync(`${this.#ports.dir}/.dial.json`, text)
    renameSync(`${this.#ports.dir}/.dial.json`, `${this.#ports.dir}/dial.json`)
    if (this.#started) this.#what.onStale?.()
  }

  spawn(role: Role, what: Spawn): ChildProcess {
    if (role === 'sidecar') this.#started = true
    const child = this.#ports.start(what)
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    return child
  }

  connect(port: number): Socket {
    return connect({ host: '127.0.0.1', port: this.#local.get(port)?.app ?? port })
  }

  renewToken(token: string): void {
    writeToken(this.#ports.dir, token, 0)
  }

  release(): void {
    for (const child of this.#children) {
      try {
        process.kill(-(child.pid as number), 'SIGKILL')
      } catch {
        // It went by itself.
      }
    }
  }
}

/** Names as the cluster's DNS search path would find them, but for those of a pod's own namespace. */
function hostTable(names: Names): Record<string, string> {
  const table: Record<string, string> = {}
  for (const s of names.mesh.services) {
    const address = s.addresses[0]
    if (s.origin !== 'kubernetes' || address === undefined) continue
    for (const name of [s.host, `${s.name}.${s.namespace}`, `${s.name}.${s.namespace}.svc`]) table[name] = address
  }
  for (const [host, address] of names.external) table[host] = address
  return table
}

function ownNamespace(hosts: Readonly<Record<string, string>>, namespace: string): Record<string, string> {
  return Object.fromEntries(Object.entries(hosts).flatMap(([host, address]) => (host.endsWith(`.${namespace}`) ? [[host.slice(0, -namespace.length - 1), address]] : [])))
}

/** For a pod without a sidecar: name → virtual address → one of the ready endpoints → loopback. */
function whereTo(names: Names | undefined, dial: Readonly<Record<string, string>>, host: string, port: number): { host: string; port: number } | undefined {
  if (names === undefined) return undefined
  const address = hostTable(names)[host] ?? host
  const service = names.mesh.services.find((s) => s.addresses.includes(address))
  const servicePort = service?.ports.find((p) => p.number === port)
  const endpoints = service === undefined || servicePort === undefined ? [] : endpointsOf(names.mesh, service, servicePort).filter((e) => e.ready)
  const chosen = endpoints[Math.floor(Math.random() * endpoints.length)]
  const target = dial[chosen === undefined ? `${address}:${port}` : `${chosen.address}:${chosen.port}`]
  if (target === undefined) return undefined
  const cut = target.lastIndexOf(':')
  return { host: target.slice(0, cut), port: Number(target.slice(cut + 1)) }
}

/** A block of loopback ports of this mesh alone: its first port stays open as the sign that the block is taken. */
async function takeBlock(seed: string): Promise<{ base: number; lock: Server }> {
  const first = createHash('sha256').update(seed).digest().readUInt16BE(0)
  for (let i = 0; i < blocks; i++) {
    const base = firstBlock + ((first + i) % blocks) * blockPorts
    const lock = await tryListen(base)
    if (lock === undefined) continue
    const rest = await Promise.all(Array.from({ length: blockPorts - 1 }, (_, n) => tryListen(base + 1 + n)))
    for (const s of rest) s?.close()
    if (!rest.includes(undefined)) return { base, lock }
    lock.close()
  }
  throw new KithError('PORTS_EXHAUSTED', `explicit mode needs ${blockPorts} free loopback ports in a row between ${firstBlock} and ${firstBlock + blocks * blockPorts}; none were found`)
}

function tryListen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((s) => s.destroy())
    server.once('error', () => resolve(undefined)).listen(port, '127.0.0.1', () => resolve(server))
  })
}
