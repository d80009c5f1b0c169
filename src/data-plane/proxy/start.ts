// Assembles a proxy by hand, top to bottom: secrets, TLS, upstreams, listeners, admin. Law: whatever is made here is closed by stop().
import { compile, emptyConfig, plainAddress, type CompileInput, type CompileProblem } from '#engine'
import type { Revocations } from '#identity'
import { markedSocket } from '#netlink'
import { AccessLogs } from './access-log.ts'
import type { Accepting } from './accept.ts'
import { startAdmin, startPrometheus, type HttpFace } from './admin.ts'
import type { Core } from './core.ts'
import { createDialler, parseAddress } from './dial.ts'
import { Handshakes } from './handshakes.ts'
import { SidecarBudget } from './http2/budget.ts'
import { proxyRequests } from './http-proxy.ts'
import { listen, redirected, standsFor, type Listening } from './listen.ts'
import { Metrics } from './metrics.ts'
import type { Proxy, ProxyOptions, ProxyUpdate } from './options.ts'
import { encodeMetadata } from './peer-metadata.ts'
import { Secrets } from './secrets.ts'
import { TlsClients } from './tls-client.ts'
import { TlsServers } from './tls-server.ts'
import { Upstreams } from './upstreams.ts'
import { secretsNamed } from './secret-names.ts'

const sweepEveryMs = 1000
const defaultHeadTimeoutMs = 60_000

/** Listens at once; serves once `update` has brought a configuration. @throws KithError LISTEN_FAILED */
export async function startProxy(options: ProxyOptions): Promise<Proxy> {
  const { identity, interception, log, mark } = options
  const dialMap = interception.mode === 'NONE' ? interception.dialMap : undefined
  const secrets = new Secrets(options.fileRoot)
  const handshakes = new Handshakes()
  const tlsClients = new TlsClients(secrets, handshakes)
  const tlsServers = new TlsServers(secrets)
  const dialler = createDialler(dialMap, mark, mark === undefined ? undefined : (m, family) => markedSocket({ family, mark: m, allowHalfOpen: true }))
  const metrics = new Metrics()
  const onBug = (error: unknown): void => {
    metrics.count('kith_bugs_total')
    log.error({ error: error instanceof Error ? error.stack : String(error) }, 'bug: the connection that met it has been closed')
  }
  const http2 = new SidecarBudget()
  const upstreams = new Upstreams(dialler, tlsClients, log, onBug, http2)
  const core: Core = {
    identity,
    log,
    upstreams,
    metrics,
    onBug,
    accessLogs: new AccessLogs(options.accessLog),
    handshakes,
    live: new Set(),
    http2,
    headTimeoutMs: options.headTimeoutMs ?? defaultHeadTimeoutMs,
    ownMetadata: encodeMetadata(identity),
    config: emptyConfig,
    draining: false,
  }
  const accepting: Accepting = { core, secrets, tlsServers }
  const listening: Listening[] = []
  const faces: HttpFace[] = []
  const ports = { outbound: 0, inbound: 0, admin: 0, prometheus: 0, httpProxy: 0 }
  let held: readonly CompileInput[] = []
  let configured = false
  const said = new Set<string>()
  let revoked: Revocations | undefined

  const update = (resources: Iterable<CompileInput>): ProxyUpdate => {
    const given = [...resources]
    const compiled = compile(given)
    const kept = compiled.errors.length === 0 ? compiled.config : compile(keepLastGood(given, held, compiled.errors)).config
    held = compiled.errors.length === 0 ? given : keepLastGood(given, held, compiled.errors)
    core.config = kept
    configured ||= kept.listeners.size > 0
    upstreams.update(kept)
    endGoneChains(core)
    for (const problem of compiled.unserved) sayOnce(problem)
    for (const problem of compiled.errors) log.error({ type: problem.type, name: problem.name, error: problem.message }, 'resource refused')
    return { errors: compiled.errors, unserved: compiled.unserved }
  }

  const sayOnce = (problem: CompileProblem): void => {
    const key = `${problem.type}|${problem.name}|${problem.message}`
    if (said.has(key)) return
    if (said.size < 10_000) said.add(key)
    log.warn({ type: problem.type, name: problem.name, what: problem.message }, 'setting is not served')
  }

  const stop = async (): Promise<void> => {
    clearInterval(sweeper)
    core.draining = true
    const closing = [...listening.map((l) => l.close()), ...faces.map((f) => f.close())]
    for (const live of core.live) live.destroy()
    upstreams.destroy()
    await Promise.all(closing)
    core.accessLogs.close()
  }

  const proxy: Proxy = {
    update,
    setSecret(name, secret) {
      secrets.set(name, secret)
      tlsClients.forget()
      tlsServers.forget()
      if (secret.kind === 'trust' && secret.revoked !== undefined && secret.revoked !== revoked) endRevoked(core, (revoked = secret.revoked))
    },
    async drain(timeoutMs) {
      core.draining = true
      for (const live of core.live) live.drain()
      const end = performance.now() + timeoutMs
      while (core.live.size > 0 && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 20))
    },
    stop,
    metrics: () => core.metrics.text({ kith_downstream_connections: core.live.size, kith_upstream_connections: upstreams.connections(), kith_http2_head_bytes: http2.heads, ...upstreams.ejections() }),
    ready: () => configured && secretsNamed(core.config).every((name) => secrets.has(name)),
    connections: () => ({
      downstream: core.live.size, upstream: upstreams.connections(),
      byGoneChain: [...core.live].filter((live) => live.takesByGoneChain === true).length,
    }),
    ports,
  }

  const sweeper = setInterval(() => {
    const now = performance.now()
    for (const live of core.live) live.sweep(now)
    upstreams.sweep()
  }, sweepEveryMs)
  sweeper.unref()

  try {
    if (dialMap === undefined) {
      const outbound = await listen(undefined, options.ports?.outbound ?? 15001, redirected(accepting, false))
      const inbound = await listen(undefined, options.ports?.inbound ?? 15006, redirected(accepting, true))
      listening.push(outbound, inbound)
      ports.outbound = outbound.port
      ports.inbound = inbound.port
    } else {
      for (const entry of dialMap.inbound) {
        const at = parseAddress(entry.listen)
        const original = parseAddress(entry.originalDestination)
        listening.push(await listen(at.address, at.port, standsFor(accepting, { address: plainAddress(original.address), port: original.port })))
        ports.inbound ||= (listening.at(-1) as Listening).port
      }
      if (dialMap.httpProxy !== undefined) {
        const at = parseAddress(dialMap.httpProxy)
        const face = await listen(at.address, at.port, proxyRequests(accepting, dialMap.hosts))
        listening.push(face)
        ports.httpProxy = face.port
      }
    }
    const adminPort = options.ports?.admin === undefined ? 15000 : options.ports.admin
    if (adminPort !== null) {
      const face = await startAdmin(adminPort, { core, secrets, proxy, resources: () => held, onQuit: options.onQuit })
      faces.push(face)
      ports.admin = face.port
    }
    const prometheusPort = options.ports?.prometheus === undefined ? 15090 : options.ports.prometheus
    if (prometheusPort !== null) {
      const face = await startPrometheus(prometheusPort, proxy, options.identity, options.log)
      faces.push(face)
      ports.prometheus = face.port
    }
  } catch (error) {
    await stop()
    throw error
  }
  return proxy
}

/** A chain that stands in the new version as it stood keeps its connections; those of the others end. */
function endGoneChains(core: Core): void {
  const standing = new Set<string>()
  for (const { name, chains, defaultChain } of core.config.listeners.values()) {
    for (const { chain } of chains) standing.add(`${name}|${chain.fingerprint}`)
    if (defaultChain !== undefined) standing.add(`${name}|${defaultChain.fingerprint}`)
  }
  for (const live of core.live) if (!standing.has(`${live.facts.listener.name}|${live.facts.chain.fingerprint}`)) live.chainGone()
}

/** Callers whose certificate counts no more are served no longer; towards servers every connection is made, and checked, anew. */
function endRevoked(core: Core, revoked: Revocations): void {
  for (const live of core.live) {
    const peer = live.facts.tls?.peer
    if (peer !== undefined && revoked.named(peer.certificate) !== undefined) live.chainGone()
  }
  core.upstreams.retire()
}

/** The new set, but for broken resources the version that stood before. */
function keepLastGood(given: readonly CompileInput[], before: readonly CompileInput[], errors: readonly CompileProblem[]): CompileInput[] {
  const broken = new Set(errors.map((e) => `${e.type}|${e.name}`))
  const key = (r: CompileInput) => `${r.type}|${r.name}`
  return [...given.filter((r) => !broken.has(key(r))), ...before.filter((r) => broken.has(key(r)))]
}
