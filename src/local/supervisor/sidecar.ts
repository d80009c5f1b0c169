// The sidecar's program and environment, as the injector's template gives them; and watching its readiness.
import { request } from 'node:http'
import type { Handshake } from '#identity'
import { canonicalName, podLabels, serviceAccountOf } from '../pod-object.ts'
import { searchPath } from '../container-command.ts'
import type { Page } from '../control-protocol.ts'
import type { ContainerRunner } from './container.ts'
import type { PodPlace } from './place.ts'
import type { PodRunner } from './pod-runner.ts'

export interface SidecarProgram {
  readonly argv: readonly string[]
  environment(pod: PodRunner): Record<string, string>
  readinessPort(pod: PodRunner): number
}

export interface SidecarSettings {
  readonly program: string
  readonly proxy: 'kith' | 'envoy'
  /** Where Envoy's binary is, when `proxy` says envoy. */
  readonly envoyPath?: string
  readonly controlPlane: string
  readonly trustDomain: string
  /** Passed on, so that started programs are quick: NODE_COMPILE_CACHE. */
  readonly inherited: Readonly<Record<string, string>>
}

/** Young generation at its smallest: a sidecar shall be small before it is fast. */
const nodeFlags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1']

export function sidecarProgram(settings: SidecarSettings): SidecarProgram {
  return {
    argv: [process.execPath, ...nodeFlags, settings.program],
    environment(pod) {
      const { namespace, name, workload } = pod.desired
      const group = workload.apiVersion.includes('/') ? workload.apiVersion : `api/${workload.apiVersion}`
      return {
        ...settings.inherited, PATH: searchPath(), POD_NAME: name, POD_NAMESPACE: namespace, INSTANCE_IP: pod.address, HOST_IP: pod.address, SERVICE_ACCOUNT: serviceAccountOf(pod.desired), TRUST_DOMAIN: settings.trustDomain,
        CA_ADDR: settings.controlPlane, ISTIO_META_WORKLOAD_NAME: workload.name, ISTIO_META_OWNER: `kubernetes://apis/${group}/namespaces/${namespace}/${workload.kind.toLowerCase()}s/${workload.name}`,
        ISTIO_METAJSON_LABELS: JSON.stringify(podLabels(pod.desired, true)), CANONICAL_SERVICE: canonicalName(pod.desired), ISTIO_META_CLUSTER_ID: 'Kubernetes', KITH_PROXY: settings.proxy, ...(settings.envoyPath === undefined ? {} : { KITH_ENVOY_PATH: settings.envoyPath }),
        // One malloc arena: a few megabytes less of each sidecar's own memory.
        KITH_INTERCEPTION: 'REDIRECT', TERMINATION_DRAIN_DURATION_SECONDS: '1', KITH_LEAVE_WHEN_IDLE: 'true', MALLOC_ARENA_MAX: '1',
      }
    },
    readinessPort: (pod) => Number(pod.place.sidecarEnv['KITH_PORT_BASE'] ?? 15019) + 2,
  }
}

const eagerMs = 40
const steadyMs = 2000
const lookTimeoutMs = 2000

/** Keeps `runner.ready` in step with `/healthz/ready`. */
export function watchSidecar(runner: ContainerRunner, place: PodPlace, port: number, onChange: () => void): { readonly firstReady: Promise<void>; stop(): void } {
  let timer: NodeJS.Timeout | undefined
  let stopped = false
  let seen: () => void
  const firstReady = new Promise<void>((resolve) => (seen = resolve))
  const look = async (): Promise<void> => {
    const ready = runner.running && (await isReady(place, port))
    if (stopped) return
    if (ready !== runner.ready) {
      runner.ready = ready
      onChange()
    }
    if (ready) seen()
    timer = setTimeout(look, ready ? steadyMs : eagerMs)
  }
  void look()
  return {
    firstReady,
    stop() {
      stopped = true
      clearTimeout(timer)
      seen()
    },
  }
}

async function isReady(place: PodPlace, port: number): Promise<boolean> {
  return (await get(place, port, '/healthz/ready'))?.status === 200
}

/** null: Envoy's admin knows no such page, it counts handshakes and keeps none. */
export async function askHandshakes(place: PodPlace): Promise<readonly Handshake[] | null> {
  const answer = await askAdmin(place, '/handshakes')
  if (answer?.status === 404) return null
  try {
    return answer?.status === 200 ? (JSON.parse(answer.body) as { handshakes: Handshake[] }).handshakes : []
  } catch {
    return []
  }
}

/** A page of the sidecar's admin; undefined where nothing answers. */
export function askAdmin(place: PodPlace, path: string): Promise<Page | undefined> {
  return get(place, Number(place.sidecarEnv['KITH_PORT_BASE'] ?? 15000), path, true)
}

/** A page of the sidecar, from inside its pod; undefined where nobody answers. */
function get(place: PodPlace, port: number, path: string, loopback = false): Promise<Page | undefined> {
  return new Promise((resolve) => {
    const socket = place.connect(port, loopback)
    socket.on('error', () => resolve(undefined))
    const sent = request({ path, headers: { host: 'localhost', connection: 'close' }, createConnection: () => socket, timeout: lookTimeoutMs }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('close', () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8') })
        socket.destroy()
      })
    })
    sent.on('timeout', () => sent.destroy())
    sent.on('error', () => resolve(undefined))
    sent.end()
  })
}
