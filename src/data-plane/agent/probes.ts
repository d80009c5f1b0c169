// The kubelet's probes, made on its behalf from inside the pod: STRICT would refuse the kubelet itself.
// Istio: pilot/cmd/pilot-agent/status/server.go; the table comes in ISTIO_KUBE_APP_PROBERS.
import { Client, credentials } from '@grpc/grpc-js'
import { request } from 'node:http'
import { request as secureRequest } from 'node:https'
import { connect } from 'node:net'
import { KithError } from '#lib/errors.ts'

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

/** `host`: where the application listens (the pod's own address, so that it sees what the kubelet would have sent). */
export async function probe(prober: Prober, host: string): Promise<ProbeAnswer> {
  const timeoutMs = (prober.timeoutSeconds === undefined || prober.timeoutSeconds === 0 ? 1 : prober.timeoutSeconds) * 1000
  try {
    if (prober.httpGet !== undefined) return await probeHttp(prober.httpGet, host, timeoutMs)
    if (prober.tcpSocket !== undefined) return await probeTcp(Number(prober.tcpSocket.port), host, timeoutMs)
    if (prober.grpc !== undefined) return await probeGrpc(prober.grpc, host, timeoutMs)
    return { status: 500, body: 'the prober says neither httpGet, tcpSocket nor grpc\n' }
  } catch (error) {
    return { status: 500, body: `${(error as Error).message}\n` }
  }
}

function probeHttp(spec: NonNullable<Prober['httpGet']>, host: string, timeoutMs: number): Promise<ProbeAnswer> {
  const headers = Object.fromEntries((spec.httpHeaders ?? []).map((h) => [h.name, h.value]))
  const make = spec.scheme?.toUpperCase() === 'HTTPS' ? secureRequest : request
  const path = spec.path === undefined || spec.path === '' ? '/' : spec.path.startsWith('/') ? spec.path : `/${spec.path}`
  return new Promise((resolve, reject) => {
    const sent = make({ host, port: Number(spec.port), path, headers: { 'user-agent': 'kube-probe/kith', ...headers }, timeout: timeoutMs, agent: false, rejectUnauthorized: false }, (response) => {
      response.resume()
      resolve({ status: response.statusCode ?? 500, body: '' })
    })
    sent.on('timeout', () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)))
    sent.on('error', reject)
    sent.end()
  })
}

function probeTcp(port: number, host: string, timeoutMs: number): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, timeout: timeoutMs }, () => {
      socket.destroy()
      resolve({ status: 200, body: '' })
    })
    socket.on('timeout', () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)))
    socket.on('error', reject)
  })
}

/** grpc.health.v1.Health/Check: the request has one string field (1), the answer one enum (1), 1 = SERVING. */
function probeGrpc(spec: NonNullable<Prober['grpc']>, host: string, timeoutMs: number): Promise<ProbeAnswer> {
  const client = new Client(`${host}:${spec.port}`, credentials.createInsecure())
  const service = Buffer.from(spec.service ?? '')
  const body = service.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from(service.length < 0x80 ? [0x0a, service.length] : [0x0a, (service.length & 0x7f) | 0x80, service.length >> 7]), service])
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', (b: Buffer) => b, (b: Buffer) => b, body, { deadline: Date.now() + timeoutMs } as never, ((error: Error | null, answer?: Buffer) => {
      client.close()
      if (error !== null) reject(error)
      else resolve(answer?.[0] === 0x08 && answer[1] === 1 ? { status: 200, body: '' } : { status: 500, body: 'not serving\n' })
    }) as never)
  })
}
