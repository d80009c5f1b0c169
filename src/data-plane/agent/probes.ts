// The kubelet's probes, made on its behalf from inside the pod: STRICT would refuse the kubelet itself.
// Istio: pilot/cmd/pilot-agent/status/server.go; the table comes in ISTIO_KUBE_APP_PROBERS.
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import { KithError } from '#lib/errors.ts'
import { checkHealth } from './grpc-health.ts'

export interface Prober {
  readonly httpGet?: { readonly path?: string; readonly port: number | string; readonly scheme?: string; readonly host?: string; readonly httpHeaders?: readonly { readonly name: string; readonly value: string }[] }
  readonly tcpSocket?: { readonly port: number | string; readonly host?: string }
  readonly grpc?: { readonly port: number; readonly service?: string }
  readonly timeoutSeconds?: number
}

/** `/app-health/httpbin/readyz` → prober. Throws ENV_INVALID. */
export function parseProbers(json: string): ReadonlyMap<string, Prober> {
  if (json === '') return new Map()
  const odd = (cause?: unknown): KithError => new KithError('ENV_INVALID', 'ISTIO_KUBE_APP_PROBERS is no JSON object', { cause })
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw odd(cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw odd()
  return new Map(Object.entries(value as Record<string, Prober>))
}

export interface ProbeAnswer {
  readonly status: number
  readonly body: string
}

interface Way {
  readonly host: string
  readonly localAddress: string | undefined
  readonly timeoutMs: number
}

/**
 * `host`: where the application listens (the pod's own address, so that it sees what the kubelet would have sent). `from`: the address that
 * the probe comes from, where that decides whether it is redirected.
 */
export async function probe(prober: Prober, host: string, from?: string, userAgent = 'kube-probe/kith'): Promise<ProbeAnswer> {
  try {
    return await probeOnce(prober, { host, localAddress: from, timeoutMs: timeoutMsOf(prober) }, userAgent)
  } catch (error) {
    return { status: 500, body: `${(error as Error).message}\n` }
  }
}

/**
 * For an application that is starting: where its port is not open yet, the question is put again while the kubelet waits for the answer,
 * so that it counts as ready when it is, not a period later.
 */
export async function patientProbe(prober: Prober, host: string, from?: string, userAgent?: string): Promise<ProbeAnswer> {
  for (const endMs = performance.now() + timeoutMsOf(prober) * patience; ; await new Promise((resolve) => setTimeout(resolve, againMs))) {
    const answer = await probe(prober, host, from, userAgent)
    if (!/ECONNREFUSED/.test(answer.body) || performance.now() > endMs) return answer
  }
}

/** Of the probe's own time-out: the rest is for the answer's way back. */
const patience = 0.7
const againMs = 50
const timeoutMsOf = (prober: Prober): number => (prober.timeoutSeconds === undefined || prober.timeoutSeconds === 0 ? 1 : prober.timeoutSeconds) * 1000

async function probeOnce(prober: Prober, way: Way, userAgent: string): Promise<ProbeAnswer> {
  if (prober.httpGet !== undefined) return probeHttp(prober.httpGet, way, userAgent)
  if (prober.tcpSocket !== undefined) return probeTcp(Number(prober.tcpSocket.port), way)
  if (prober.grpc !== undefined) return probeGrpc(prober.grpc, way, userAgent)
  return { status: 500, body: 'the prober says neither httpGet, tcpSocket nor grpc\n' }
}

function probeHttp(spec: NonNullable<Prober['httpGet']>, way: Way, userAgent: string): Promise<ProbeAnswer> {
  const headers = Object.fromEntries((spec.httpHeaders ?? []).map((h) => [h.name.toLowerCase(), h.value]))
  const make = spec.scheme?.toUpperCase() === 'HTTPS' ? secureRequest : request
  const path = spec.path === undefined || spec.path === '' ? '/' : spec.path.startsWith('/') ? spec.path : `/${spec.path}`
  return new Promise((resolve, reject) => {
    const { host, localAddress, timeoutMs } = way
    const sent = make({ host, port: Number(spec.port), path, headers: { 'user-agent': userAgent, ...headers }, timeout: timeoutMs, agent: false, rejectUnauthorized: false, ...(localAddress === undefined ? {} : { localAddress }) }, (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 500, body: '' })
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    sent.on('error', reject)
    sent.end()
  })
}

function probeTcp(port: number, { host, localAddress, timeoutMs }: Way): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: timeoutMs, ...(localAddress === undefined ? {} : { localAddress }) }, () => {
      socket.destroy()
      resolve({ status: 200, body: '' })
    })
    socket.on('timeout', () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)))
    socket.on('error', reject)
  })
}

async function probeGrpc(spec: NonNullable<Prober['grpc']>, way: Way, userAgent: string): Promise<ProbeAnswer> {
  const serving = await checkHealth({ ...way, port: spec.port, service: spec.service ?? '', userAgent })
  return serving ? { status: 200, body: '' } : { status: 500, body: 'not serving\n' }
}
