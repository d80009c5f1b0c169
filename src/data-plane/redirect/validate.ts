// Whether the rules hold: a connection to an address where nobody listens must come out at the sidecar's port, and say where it was going.
// The sidecar's own user comes in by the front door (15006) when it calls its pod's address; anybody else goes out (15001). Istio: tools/istio-iptables/pkg/validation.
import { connect, createServer, type Server, type Socket } from 'node:net'
import { KithError } from '#lib/errors.ts'
import { originalDestination } from '#netlink'
import type { InterceptionOptions } from '#interception'

/** Where no connection ends unless it is redirected: RFC 5737's documentation addresses, and Istio's probe port. */
const nowhere = '192.0.2.1'
const probePort = 15002

/** `podAddress`: this pod's own. @throws KithError INTERCEPTION_MISSING */
export async function validateRules(options: InterceptionOptions, uid: number, podAddress: string, timeoutMs: number): Promise<void> {
  const sidecars = options.exemption?.by === 'owner' && options.exemption.uid === uid
  const [port, address] = sidecars ? [options.inboundPort ?? 15006, podAddress] : [options.outboundPort ?? 15001, nowhere]
  const server = createServer()
  const arrived = new Promise<Socket>((resolve) => server.once('connection', resolve))
  await listening(server, port)
  const client = connect({ host: address, port: probePort })
  client.on('error', () => undefined)
  try {
    const socket = await Promise.race([arrived, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), timeoutMs))])
    const found = socket === undefined ? undefined : originalDestination(socket)
    socket?.destroy()
    if (found?.port !== probePort) throw new KithError('INTERCEPTION_MISSING', `a connection to ${address}:${probePort} did not come out at ${port} within ${timeoutMs} ms: this pod’s traffic is not intercepted. The rules of the CNI plugin or of istio-init are missing`)
  } finally {
    client.destroy()
    server.close()
  }
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => reject(new KithError('PORT_IN_USE', `port ${port} can’t be opened: ${cause.message}`, { cause })))
    server.listen(port, '0.0.0.0', () => resolve())
  })
}
