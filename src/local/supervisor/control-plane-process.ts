// The control plane as a process of the sandbox: started first, started again where it ends, its log passed on as events.
import { copyFileSync, mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { createInterface } from 'node:readline'
import { searchPath } from '../container-command.ts'
import { writeFile } from '../replace-file.ts'
import type { Page } from '../control-protocol.ts'
import { ContainerRunner } from './container.ts'
import type { Sandbox } from './place.ts'
import { tokenIssuer } from './tokens.ts'

export interface ControlPlaneProcessOptions {
  readonly sandbox: Sandbox
  readonly program: string
  readonly stateDir: string
  readonly configPaths: readonly string[]
  /** Folders in which files appear whole, by a rename. */
  readonly wholePaths: readonly string[]
  readonly meshConfigFile?: string
  readonly tokenKeys: object
  readonly certTtlSeconds?: number
  readonly inherited: Readonly<Record<string, string>>
  onReady(again: boolean): void
  onLog(level: string, message: string, fields: Readonly<Record<string, unknown>>): void
  onEnd(detail: string): void
}

export interface ControlPlaneProcess {
  readonly runner: ContainerRunner
  /** Where the folder lies in which sidecars find `root-cert.pem`. */
  readonly rootCertDir: string
  /** Why it could not start the last time; undefined: it did, or has not tried yet. */
  refusal(): { readonly code: string; readonly reason: string } | undefined
  /** True once every connected proxy has answered to the newest snapshot, which is at least `snapshot`. */
  settled(snapshot: number): Promise<boolean>
  snapshot(): Promise<number>
  /** The newest snapshot, and `objectMark` of its objects that were read from files whose path begins with `under`. */
  marks(under: string): Promise<{ readonly snapshot: number; readonly marks: readonly string[] }>
  /** A page of its status port. */
  page(path: string): Promise<Page>
  stop(): Promise<void>
}

/** What the control plane logs then, with `code` and `reason`. */
const couldNotStart = 'control plane could not start'

export function startControlPlane(options: ControlPlaneProcessOptions): ControlPlaneProcess {
  const { stateDir, sandbox } = options
  const own = `${stateDir}/control-plane`
  const rootCertDir = `${stateDir}/root-cert`
  for (const dir of [own, rootCertDir]) mkdirSync(dir, { recursive: true })
  writeFile(`${own}/token-keys.json`, JSON.stringify(options.tokenKeys))
  const argv = [
    process.execPath, '--disable-warning=ExperimentalWarning', '--max-semi-space-size=4', options.program, ...options.configPaths.flatMap((p) => ['--config-dir', p]), ...options.wholePaths.flatMap((p) => ['--whole-dir', p]), ...(options.meshConfigFile === undefined ? [] : ['--mesh-config', options.meshConfigFile]),
    '--state-dir', own, '--listen', sandbox.controlPlaneAddress, '--status-port', String(sandbox.statusPort), '--token-keys', `${own}/token-keys.json`, '--token-issuer', tokenIssuer,
    ...(options.certTtlSeconds === undefined ? [] : ['--cert-ttl', String(options.certTtlSeconds)]),
  ]
  let statusPort = sandbox.statusPort
  let starts = 0
  let stopping = false
  let refusal: { readonly code: string; readonly reason: string } | undefined
  const runner = new ContainerRunner({
    name: 'control-plane', restartPolicy: 'Always',
    start() {
      const child = sandbox.spawnSystem({ argv, cwd: stateDir, env: { ...options.inherited, PATH: searchPath() } })
      if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => {
        const said = parse(line)
        if (said?.['event'] !== 'ready') return
        if (typeof said['statusPort'] === 'number') statusPort = said['statusPort']
        copyFileSync(`${own}/root-cert.pem`, `${rootCertDir}/root-cert.pem`)
        runner.ready = true
        refusal = undefined
        options.onReady(starts++ > 0)
      })
      if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => {
        const { level, msg, time: _time, scope: _scope, ...fields } = parse(line) ?? { level: 'error', msg: line }
        if (typeof fields['code'] === 'string' && msg === couldNotStart) refusal = { code: fields['code'], reason: String(fields['reason']) }
        options.onLog(String(level), String(msg), fields)
      })
      return child
    },
    onChange() {
      if (!runner.running && !stopping) options.onEnd(runner.detail ?? 'it ended')
    },
  })
  runner.start()
  const status = async (): Promise<{ snapshot: number; proxies: { snapshot: number; settled: boolean }[] }> => (await getJson(statusPort, '/debug/syncz')) as never
  return {
    runner, rootCertDir,
    refusal: () => refusal,
    snapshot: async () => (await status()).snapshot,
    marks: async (under) => (await getJson(statusPort, `/debug/objectz?under=${encodeURIComponent(under)}`)) as never,
    page: (path) => getPage(statusPort, path),
    async settled(snapshot) {
      const now = await status()
      return now.snapshot >= snapshot && now.proxies.every((p) => p.settled && p.snapshot >= snapshot)
    },
    stop() {
      stopping = true
      return runner.stop(2000)
    },
  }
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line) as unknown
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

async function getJson(port: number, path: string): Promise<unknown> {
  const value = parse((await getPage(port, path)).body)
  if (value === undefined) throw new Error(`port ${port} answered no JSON`)
  return value
}

function getPage(port: number, path: string): Promise<Page> {
  return new Promise((resolve, reject) => {
    request({ host: '127.0.0.1', port, path, timeout: 2000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (t: string) => (body += t)).on('end', () => resolve({ status: response.statusCode ?? 0, body })).on('error', reject)
    }).on('error', reject).end()
  })
}
