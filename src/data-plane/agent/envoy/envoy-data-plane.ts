// Real Envoy as a sidecar's data plane: bootstrap written, process started and watched, secrets served to it.
import { spawn, type ChildProcess } from 'node:child_process'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import type { DataPlane } from '../data-plane.ts'
import { xdsNode, type AgentSettings } from '../environment.ts'
import { trustedRoots } from '../trust-change.ts'
import { trustFollower } from '../trust-follower.ts'
import { envoyBootstrap } from './bootstrap.ts'
import { serveSecrets } from './secret-server.ts'

const adminPort = 15000
const prometheusPort = 15090
const askTimeoutMs = 2000
const killAfterMs = 2000
/** Envoy's log as JSON lines: %l level, %n logger, %j the message escaped for JSON. */
const logFormat = '{"level":"%l","time":"%Y-%m-%dT%T.%eZ","scope":"envoy","logger":"%n","msg":"%j"}'

/** Throws ENVOY_MISSING where there is no binary, MODE_UNSUPPORTED in explicit mode. */
export async function startEnvoyDataPlane(settings: AgentSettings, log: Logger, onQuit: () => void, onOutdated: () => void): Promise<DataPlane> {
  if (settings.dialMap !== undefined) throw new KithError('MODE_UNSUPPORTED', 'Envoy needs intercepted connections: KITH_INTERCEPTION=NONE goes with KITH_PROXY=kith alone')
  const binary = findEnvoy(settings.envoyPath, process.env['PATH'] ?? '')
  const folder = mkdtempSync(join(tmpdir(), 'kith-envoy-'))
  const forget = (): void => rmSync(folder, { recursive: true, force: true })
  process.once('exit', forget)
  const secretsSocket = join(folder, 'sds')
  const secrets = await serveSecrets(secretsSocket, log)
  const bootstrapPath = join(folder, 'envoy.json')
  const { discoveryAddress, discoveryName, mark } = settings
  writeFileSync(bootstrapPath, JSON.stringify(envoyBootstrap({ node: xdsNode(settings), discoveryAddress, discoveryName, secretsSocket, adminPort, prometheusPort, ...(mark === undefined ? {} : { mark }) }), null, 2))
  const trust = trustFollower({ address: discoveryAddress, serverName: discoveryName, node: xdsNode(settings), onOutdated, log })
  let child: ChildProcess | undefined
  let ending = false
  return {
    certificate(c) {
      secrets.set({ ...c, roots: trustedRoots(c) })
      trust.certificate(c)
    },
    begin() {
      trust.begin()
      child = spawn(binary, ['-c', bootstrapPath, '--concurrency', '1', '--disable-hot-restart', '--drain-time-s', String(Math.max(1, Math.round(settings.leaving.drainMs / 1000))), '--log-format', logFormat, '--log-level', 'warning'], { stdio: ['ignore', 'inherit', 'inherit'] })
      const own = child
      process.once('exit', () => own.kill('SIGKILL'))
      child.once('error', (error) => log.error({ binary, reason: error.message }, 'envoy could not be started'))
      child.once('exit', (code, signal) => {
        if (ending) return
        // Without its proxy a sidecar is none: ending lets whoever started it start it again.
        log.error({ code, signal }, 'envoy ended by itself')
        process.exitCode = 1
        onQuit()
      })
      log.info({ binary, pid: child.pid }, 'envoy started')
    },
    async ready() {
      if (child === undefined || child.exitCode !== null) return false
      const [live, stats] = await Promise.all([ask('GET', '/ready'), ask('GET', '/stats?filter=^(cluster_manager.cds|listener_manager.lds).update_success$')])
      return live?.status === 200 && (stats?.body.match(/update_success: [1-9]/g) ?? []).length === 2
    },
    metrics: async () => (await ask('GET', '/stats/prometheus'))?.body ?? '',
    async drain() {
      await ask('POST', '/drain_listeners?graceful&skip_exit')
    },
    async connections() {
      const text = (await ask('GET', '/stats?usedonly&filter=^listener.*downstream_cx_active$'))?.body ?? ''
      return [...text.matchAll(/^listener\.(?!admin)[^:]*downstream_cx_active: (\d+)$/gm)].reduce((sum, [, n]) => sum + Number(n), 0)
    },
    async end() {
      ending = true
      trust.end()
      if (child !== undefined && child.exitCode === null && child.signalCode === null) {
        const gone = new Promise<void>((resolve) => child?.once('exit', () => resolve()))
        child.kill('SIGTERM')
        const killer = setTimeout(() => child?.kill('SIGKILL'), killAfterMs)
        await gone
        clearTimeout(killer)
      }
      secrets.close()
      forget()
    },
  }
}

/** `KITH_ENVOY_PATH`, else `envoy` in PATH. */
export function findEnvoy(named: string, searchPath: string): string {
  const candidates = named === '' ? searchPath.split(delimiter).filter((d) => d !== '').map((d) => join(d, 'envoy')) : [named]
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK)
      return candidate
    } catch {
      continue
    }
  }
  throw new KithError('ENVOY_MISSING', named === '' ? 'there is no envoy in PATH: name it with KITH_ENVOY_PATH' : `${named} can't be run`)
}

/** Envoy's admin port; undefined where it does not answer. */
function ask(method: 'GET' | 'POST', path: string): Promise<{ readonly status: number; readonly body: string } | undefined> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port: adminPort, method, path, timeout: askTimeoutMs, agent: false }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (d: string) => (body += d)).on('end', () => resolve({ status: answer.statusCode ?? 0, body })).on('error', () => resolve(undefined))
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(undefined))
    sent.end()
  })
}
