// Pods on loopback addresses of their own, called by these addresses: one in the mesh, one without a sidecar, one that shows another's certificate. What each saw is kept.
import { createServer as createTcp, type Server } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { canonicalJson } from '#lib/canonical.ts'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'

export const pods = { honest: '127.0.9.1', plain: '127.0.9.2', liar: '127.0.9.3' } as const
export const clientId = 'spiffe://cluster.local/ns/foo/sa/client'

/** `port`: of the database and of everything else alike. */
export function addressMesh(port: number, autoMtls: 'kith' | 'istio' = 'kith'): Mesh {
  const namespace = (name: string) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { 'istio-injection': 'enabled' } } })
  const pod = (name: keyof typeof pods) => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'bar', labels: { app: 'db', ...(name === 'plain' ? {} : { 'security.istio.io/tlsMode': 'istio' }) } },
    spec: { serviceAccountName: name, containers: [{ name: 'db', image: 'db' }, ...(name === 'plain' ? [] : [{ name: 'istio-proxy', image: 'proxy' }])] }, status: { phase: 'Running', podIP: pods[name] },
  })
  const objects = [
    namespace('foo'), namespace('bar'), pod('honest'), pod('plain'), pod('liar'),
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'client', namespace: 'foo' }, spec: { template: { metadata: { labels: { app: 'client' } }, spec: { serviceAccountName: 'client', containers: [{ name: 'client', image: 'client' }] } } } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'db', namespace: 'bar' }, spec: { clusterIP: 'None', selector: { app: 'db' }, ports: [{ name: 'tcp', port }] } },
    { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'bar' }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: port + 1 }] } },
    { apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'bar' }, spec: { mtls: { mode: 'STRICT' } } },
  ]
  return buildMesh(decodeObjects(parseYaml(objects.map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents).objects, { meshConfig: { compat: { autoMtls } } })
}

export interface Seen {
  readonly tls: boolean
  /** SPIFFE id of the client's certificate. */
  readonly client: string
  readonly alpn: string
}

/** Answers every connection with who came, in one line after the first bytes; `http`: as an answer to a request. */
export async function startPod(address: string, ports: readonly number[], material?: { readonly cert: string; readonly key: string; readonly ca: string }): Promise<{ readonly seen: Seen[]; stop(): void }> {
  const seen: Seen[] = []
  const answer = (about: Seen): string => {
    const body = JSON.stringify(about)
    return `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`
  }
  const servers = ports.map((port): Server => {
    let offered = ''
    const server = material === undefined
      ? createTcp((socket) => {
          const about = { tls: false, client: '', alpn: '' }
          seen.push(about)
          socket.on('error', () => {}).once('data', () => socket.end(answer(about)))
        })
      : createTls({ ...material, requestCert: true, rejectUnauthorized: true, ALPNCallback: ({ protocols }) => {
          offered = protocols.join()
          return protocols.at(-1)
        } }, (socket) => {
          const about = { tls: true, client: (socket.getPeerCertificate().subjectaltname ?? '').replace('URI:', ''), alpn: offered }
          seen.push(about)
          socket.on('error', () => {}).once('data', () => socket.end(answer(about)))
        })
    server.on('tlsClientError', () => {})
    return server.listen(port, address)
  })
  await Promise.all(servers.map((s) => (s.listening ? undefined : new Promise((resolve) => s.once('listening', resolve)))))
  return { seen, stop: () => servers.forEach((s) => s.close()) }
}
