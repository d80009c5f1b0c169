// Where an application calls in plaintext so that its sidecar makes the TLS: a port of the service that is
// declared as HTTP and leads to the same place.
import type { Question } from './question.ts'
import type { Words } from './verdict.ts'

/** `to`: as the caller's sidecar names it; absent: what the application wrote. */
export function plainPort(
  { mesh, target, resolved }: Question,
  to: { readonly host: string; readonly port: number } | undefined,
): Words['destination'] {
  const service = to === undefined ? resolved.service : mesh.servicesByHost.get(to.host)?.[0]
  const called = service?.ports.find((p) => p.number === (to?.port ?? target.port))
  const plain = service?.ports.find(
    (p) =>
      (p.protocol === 'http' || p.protocol === 'http2' || p.protocol === 'grpc') &&
      p.targetPort === called?.targetPort,
  )
  const host = to?.host ?? target.host
  return {
    host,
    port: to?.port ?? target.port,
    http: plain === undefined ? null : `http://${host}:${plain.number}`,
  }
}
