// Servers outside the mesh, as kith.yaml names them: each in a place of its own, known to DNS, unknown to the control plane.
import type { ExternalServer } from '../mesh-file.ts'
import { containerCommand, searchPath } from '../container-command.ts'
import { ContainerRunner } from './container.ts'
import type { EventBody } from './cluster.ts'
import type { PodPlace, Sandbox } from './place.ts'

export interface External {
  /** Host name → address. */
  readonly names: ReadonlyMap<string, string>
  ready(): boolean
  /** `external-service:80` … that do not answer yet. */
  waiting(): readonly string[]
  stop(): Promise<void>
}

const lookMs = 50

export async function startExternal(servers: readonly ExternalServer[], sandbox: Sandbox, options: { readonly dir: string; emit(event: EventBody): void }): Promise<External> {
  const names = new Map<string, string>()
  const waiting = new Set<string>()
  const timers = new Set<NodeJS.Timeout>()
  const taken = new Set(servers.map((s) => s.address))
  let next = 10
  const runners = servers.map((server) => {
    let address = server.address
    while (address === undefined) {
      const candidate = `203.0.113.${next++}`
      if (!taken.has(candidate)) address = candidate
    }
    for (const host of server.hosts) names.set(host.toLowerCase().replace(/\.$/, ''), address)
    const place = sandbox.placeExternal(server.name, address, server.ports)
    let said: string | undefined
    const command = containerCommand({ name: server.name, command: server.command }, {}, { ...server.env, ...place.variables })
    const argv = 'argv' in command ? command.argv : []
    const runner = new ContainerRunner({
      name: server.name, restartPolicy: 'Always',
      onChange() {
        if (runner.running || runner.detail === undefined || runner.detail === said) return
        said = runner.detail
        const ref = { kind: 'LocalMesh', namespace: '', name: 'kith.yaml', path: `spec.external ${server.name}` }
        options.emit({ event: 'problem', problem: { code: 'KITH0206', severity: 'error', ref, message: `the external server ${server.name} has ended: ${runner.detail}` } })
      },
      start: () => place.spawn('application', { argv, cwd: options.dir, env: { PATH: searchPath(), HOME: options.dir, ...(process.env['NODE_COMPILE_CACHE'] === undefined ? {} : { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] }), ...server.env, ...place.applicationEnv } }),
    })
    runner.start()
    for (const port of server.ports) {
      waiting.add(`${server.name}:${port}`)
      awaitPort(place, port, timers, () => waiting.delete(`${server.name}:${port}`))
    }
    return { name: server.name, runner, place }
  })
  return {
    names, ready: () => waiting.size === 0, waiting: () => [...waiting].map((w) => `${w}${because(runners.find((r) => w.startsWith(`${r.name}:`))?.runner)}`),
    async stop() {
      for (const t of timers) clearTimeout(t)
      await Promise.all(runners.map(({ runner }) => runner.stop(1000)))
      for (const { place } of runners) place.release()
    },
  }
}

function because(runner: ContainerRunner | undefined): string {
  return runner === undefined || runner.running || runner.detail === undefined ? '' : ` (${runner.status}, ${runner.detail})`
}

function awaitPort(place: PodPlace, port: number, timers: Set<NodeJS.Timeout>, done: () => void): void {
  const socket = place.connect(port)
  socket.once('connect', () => {
    socket.destroy()
    done()
  })
  socket.on('error', () => {
    const timer = setTimeout(() => {
      timers.delete(timer)
      awaitPort(place, port, timers, done)
    }, lookMs)
    timers.add(timer)
  })
}
