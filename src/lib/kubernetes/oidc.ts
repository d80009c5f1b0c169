// The kubeconfig's oidc provider, as kubectl's: the id token while it lasts, then a new one for the refresh token. The kubeconfig is not written.
import { request } from 'node:https'
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'

/** Throws K8S_UNAUTHORIZED. */
export async function freshIdToken(config: Readonly<Record<string, string>>, nowMs: number): Promise<{ readonly token: string; readonly untilMs: number }> {
  const held = config['id-token'] ?? ''
  const heldUntil = expiryOf(held)
  if (heldUntil > nowMs) return { token: held, untilMs: heldUntil }
  const { 'idp-issuer-url': issuer, 'client-id': client, 'refresh-token': refresh } = config
  const failed = (why: string): KithError => new KithError('K8S_UNAUTHORIZED', `the id token of the kubeconfig has run out, and ${why}`)
  if (issuer === undefined || client === undefined || refresh === undefined) throw failed('no refresh-token, client-id and idp-issuer-url are there to get another: log in again')
  const ca = config['idp-certificate-authority-data'] !== undefined ? Buffer.from(config['idp-certificate-authority-data'], 'base64').toString('utf8') : config['idp-certificate-authority'] !== undefined ? readFileSync(config['idp-certificate-authority'], 'utf8') : undefined
  const discovery = await ask(`${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`, ca).catch((e: Error) => { throw failed(e.message) })
  const endpoint = discovery['token_endpoint']
  if (typeof endpoint !== 'string') throw failed(`${issuer} names no token endpoint`)
  const basic = `Basic ${Buffer.from(`${encodeURIComponent(client)}:${encodeURIComponent(config['client-secret'] ?? '')}`).toString('base64')}`
  const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refresh, client_id: client }).toString()
  const answer = await ask(endpoint, ca, { authorization: basic, form }).catch((e: Error) => { throw failed(e.message) })
  const token = answer['id_token']
  if (typeof token !== 'string') throw failed(`${issuer} gave no id token for the refresh token`)
  return { token, untilMs: expiryOf(token) }
}

function expiryOf(token: string): number {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as { exp?: number }
    return typeof exp === 'number' ? exp * 1000 : 0
  } catch {
    return 0
  }
}

function ask(url: string, ca: string | undefined, post?: { readonly authorization: string; readonly form: string }): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method: post === undefined ? 'GET' : 'POST', timeout: 10_000, ...(ca === undefined ? {} : { ca }), headers: post === undefined ? {} : { authorization: post.authorization, 'content-type': 'application/x-www-form-urlencoded' } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode !== 200) return reject(new Error(`${new URL(url).host} answered ${response.statusCode}`))
        try {
          resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>)
        } catch (error) {
          reject(error as Error)
        }
      })
    })
    asked.on('timeout', () => asked.destroy(new Error(`${new URL(url).host} did not answer`)))
    asked.on('error', reject)
    asked.end(post?.form)
  })
}
