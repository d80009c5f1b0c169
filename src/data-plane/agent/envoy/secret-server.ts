// SDS for Envoy over a unix socket in a folder of the agent's own: keys go from memory to memory.
// Names: `default`, `ROOTCA`, and Istio's for a DestinationRule's files: file-cert:CHAIN~KEY, file-root:PATH, file-root:system.
import { create, toBinary } from '@bufbuild/protobuf'
import { Server, ServerCredentials, status, type ServerDuplexStream } from '@grpc/grpc-js'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'
import { KithError } from '#lib/errors.ts'
import type { Logger } from '#lib/log.ts'
import { message } from '#proto'
import { secretsMethod, SotwServerState, typeUrls, type Resource, type SotwResponse, type SotwWireRequest } from '#xds'
import type { Secret } from '../../../../generated/types/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts'
import type { WorkloadCertificate } from '../rotation.ts'

const schema = message<Secret>('envoy.extensions.transport_sockets.tls.v3.Secret')
/** Files of DestinationRules are looked at again this often. */
const filesEveryMs = 5000

/** Envoy opens one for each secret that its clusters name. */
const mostStreams = 2048

interface Connected {
  readonly state: SotwServerState
  readonly stream: ServerDuplexStream<SotwWireRequest, SotwResponse>
}

export interface SecretServer {
  set(c: WorkloadCertificate): void
  close(): void
}

export async function serveSecrets(socketPath: string, log: Logger): Promise<SecretServer> {
  const held = new Map<string, Resource>()
  const connections = new Set<Connected>()
  const push = ({ state, stream }: Connected): void => {
    const wanted = new Map<string, Resource>()
    for (const name of state.wanted(typeUrls.secret) ?? []) {
      const resource = held.get(name) ?? fromFiles(name, log)
      if (resource !== undefined) wanted.set(name, resource)
    }
    const response = state.push(typeUrls.secret, wanted)
    if (response !== undefined) stream.write(response)
  }
  const server = new Server()
  server.addService({ secrets: secretsMethod }, {
    secrets(stream: ServerDuplexStream<SotwWireRequest, SotwResponse>) {
      if (connections.size >= mostStreams) return void stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details: `more than ${mostStreams} streams` })
      const connected = { state: new SotwServerState(new Set()), stream }
      connections.add(connected)
      const gone = (): void => void connections.delete(connected)
      stream.on('data', (request: SotwWireRequest) => {
        const feedback = connected.state.request(request)
        if (feedback?.kind === 'excess') {
          log.error({ reason: feedback.error }, 'envoy asks for more secrets than can exist, its stream ends')
          gone()
          return void stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details: feedback.error })
        }
        if (feedback?.kind === 'nack') log.error({ secrets: request.names.slice(0, 8), reason: feedback.error?.slice(0, 4096) }, 'envoy refused a secret')
        push(connected)
      })
      stream.on('error', gone)
      stream.on('cancelled', gone)
      stream.on('end', () => {
        gone()
        stream.end()
      })
    },
  })
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`unix:${socketPath}`, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(new KithError('SDS_SOCKET', `the socket ${socketPath} can't be opened: ${error.message}`, { cause: error }))))
  })
  const timer = setInterval(() => connections.forEach(push), filesEveryMs)
  timer.unref()
  return {
    set(c) {
      held.set('ROOTCA', trusted('ROOTCA', c.roots))
      held.set('default', certificate('default', c.chain, c.key.reveal()))
      connections.forEach(push)
    },
    close() {
      clearInterval(timer)
      server.forceShutdown()
    },
  }
}

const inline = (text: string) => ({ specifier: { case: 'inlineString' as const, value: text } })

function certificate(name: string, chain: string, key: string): Resource {
  return resourceOf(name, create(schema, { name, type: { case: 'tlsCertificate', value: { certificateChain: inline(chain), privateKey: inline(key) } } }))
}

function trusted(name: string, roots: string): Resource {
  return resourceOf(name, create(schema, { name, type: { case: 'validationContext', value: { trustedCa: inline(roots) } } }))
}

function resourceOf(name: string, secret: Secret): Resource {
  const value = toBinary(schema, secret)
  return { type: typeUrls.secret, name, version: createHash('sha256').update(value).digest('hex').slice(0, 16), any: { $typeName: 'google.protobuf.Any', typeUrl: typeUrls.secret, value } }
}

/** undefined where a file can't be read yet: Envoy waits, and the name is looked at again. */
function fromFiles(name: string, log: Logger): Resource | undefined {
  try {
    if (name === 'file-root:system') return trusted(name, rootCertificates.join('\n'))
    if (name.startsWith('file-root:')) return trusted(name, readFileSync(name.slice('file-root:'.length), 'utf8'))
    if (!name.startsWith('file-cert:')) return undefined
    const [chain = '', key = ''] = name.slice('file-cert:'.length).split('~')
    return certificate(name, readFileSync(chain, 'utf8'), readFileSync(key, 'utf8'))
  } catch (error) {
    log.warn({ secret: name, reason: (error as Error).message }, 'files of a secret can’t be read')
    return undefined
  }
}
