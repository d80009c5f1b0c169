// Asks the CA for a certificate, with the pod's token, which is read anew each time: the kubelet renews it.
import { Client, Metadata, credentials } from '@grpc/grpc-js'
import { readFile } from 'node:fs/promises'
import { KithError } from '#lib/errors.ts'
import { createCertificateMethod, type CertificateChain } from '#xds'
import type { AgentSettings } from './environment.ts'

const deadlineMs = 5000

/** `trusted`: roots that came with an earlier certificate, PEM; they count beside the mounted ones, which may lag behind. Throws CA_UNREACHABLE or CA_REFUSED with the CA's own words. */
export async function requestCertificate(settings: AgentSettings, csr: string, trusted = ''): Promise<CertificateChain> {
  const [token, mounted] = await Promise.all([readFile(settings.tokenPath, 'utf8'), readFile(settings.rootPath, 'utf8')]).catch((cause: unknown) => {
    throw new KithError('TOKEN_UNREADABLE', `the pod’s token or the mesh’s root can’t be read: ${(cause as Error).message}`, { cause })
  })
  const client = new Client(settings.caAddress, credentials.createSsl(Buffer.from(`${mounted}\n${trusted}`)), { 'grpc.ssl_target_name_override': settings.discoveryName, 'grpc.enable_retries': 0 })
  const metadata = new Metadata()
  metadata.set('authorization', `Bearer ${token.trim()}`)
  metadata.set('clusterid', settings.cluster)
  const m = createCertificateMethod
  try {
    const chain = await new Promise<CertificateChain>((resolve, reject) => {
      client.makeUnaryRequest(m.path, m.requestSerialize, m.responseDeserialize, { csr, validitySeconds: settings.certificateSeconds }, metadata, { deadline: Date.now() + deadlineMs }, (error, value) => {
        if (error !== null) reject(new KithError(error.code === 14 || error.code === 4 ? 'CA_UNREACHABLE' : 'CA_REFUSED', `the CA at ${settings.caAddress}: ${error.details}`, { cause: error }))
        else resolve(value ?? [])
      })
    })
    if (chain.length < 2) throw new KithError('CA_REFUSED', `the CA at ${settings.caAddress} answered without its roots`)
    return chain
  } finally {
    client.close()
  }
}
