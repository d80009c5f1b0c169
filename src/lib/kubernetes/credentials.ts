// Who we are to the API server: certificate, token, token file, exec plugin, OIDC. Law: what runs out is had anew; nothing of it is logged.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import type { ClusterAccess, ExecEntry, UserEntry } from './kubeconfig.ts'
import { freshIdToken } from './oidc.ts'

export interface Credential {
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** PEM. */
  readonly cert?: string
  readonly key?: string
}

export interface CredentialSource {
  get(): Promise<Credential>
  /** The API server did not take the last one. false: there is no other. */
  forget(): boolean
}

/** The kubelet renews a pod's token well before its end. */
const tokenFileMs = 10_000
/** A plugin's credential counts as run out this much earlier. */
const earlyMs = 10_000

export function credentialSource(access: ClusterAccess, now: () => number = Date.now): CredentialSource {
  const { user } = access
  const impersonate = { ...(user.as === undefined ? {} : { 'impersonate-user': user.as }), ...(user['as-groups'] === undefined ? {} : { 'impersonate-group': user['as-groups'] }) }
  const cert = fileOrData(user, 'client-certificate')
  const key = fileOrData(user, 'client-key')
  const fixed: Credential = { headers: impersonate, ...(cert === undefined || key === undefined ? {} : { cert, key }) }
  const bearer = (token: string): Credential => ({ ...fixed, headers: { ...impersonate, authorization: `Bearer ${token}` } })
  if (user.exec !== undefined) {
    const exec = user.exec
    return renewed(async () => {
      const { credential, untilMs } = await runPlugin(exec, access)
      return { credential: { ...fixed, ...credential, headers: { ...impersonate, ...credential.headers } }, untilMs }
    }, now)
  }
  if (user['auth-provider'] !== undefined) {
    const provider = user['auth-provider']
    if (provider.name !== 'oidc') throw new KithError('KUBECONFIG_INVALID', `the auth-provider ${provider.name} is gone from Kubernetes: use its exec plugin`)
    return renewed(async () => {
      const { token, untilMs } = await freshIdToken(provider.config ?? {}, now())
      return { credential: bearer(token), untilMs }
    }, now)
  }
  if (user.tokenFile !== undefined) {
    const file = user.tokenFile
    return renewed(async () => ({ credential: bearer(readText(file).trim()), untilMs: now() + tokenFileMs + earlyMs }), now)
  }
  if (user.token !== undefined && user.token !== '') return { get: async () => bearer(user.token as string), forget: () => false }
  if (user.username !== undefined) {
    const basic = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')
    return { get: async () => ({ ...fixed, headers: { ...impersonate, authorization: `Basic ${basic}` } }), forget: () => false }
  }
  return { get: async () => fixed, forget: () => false }
}

/** One at a time, kept until it runs out. */
function renewed(make: () => Promise<{ credential: Credential; untilMs: number }>, now: () => number): CredentialSource {
  let held: Promise<{ credential: Credential; untilMs: number }> | undefined
  let untilMs = 0
  return {
    async get() {
      if (held === undefined || now() >= untilMs - earlyMs) {
        untilMs = Number.POSITIVE_INFINITY
        const mine = make()
        held = mine
        mine.then((made) => { untilMs = made.untilMs }, () => { if (held === mine) held = undefined })
      }
      return (await held).credential
    },
    forget() {
      held = undefined
      return true
    },
  }
}

interface ExecCredential {
  readonly status?: { readonly token?: string; readonly clientCertificateData?: string; readonly clientKeyData?: string; readonly expirationTimestamp?: string }
}

/** https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins */
async function runPlugin(exec: ExecEntry, access: ClusterAccess): Promise<{ credential: Credential; untilMs: number }> {
  const interactive = exec.interactiveMode !== 'Never' && process.stdin.isTTY === true
  const { cluster } = access
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1', kind: 'ExecCredential',
    spec: {
      interactive,
      ...(exec.provideClusterInfo === true ? { cluster: { server: access.server, 'certificate-authority-data': cluster['certificate-authority-data'] ?? encoded(cluster['certificate-authority']), 'tls-server-name': cluster['tls-server-name'], 'insecure-skip-tls-verify': cluster['insecure-skip-tls-verify'] } } : {}),
    },
  }
  const failed = (why: string, cause?: unknown): KithError => new KithError('K8S_UNAUTHORIZED', `the credential plugin ${exec.command} ${why}${exec.installHint === undefined ? '' : `\n${exec.installHint}`}`, { cause })
  const out = await new Promise<string>((resolve, reject) => {
    const child = spawn(exec.command, exec.args ?? [], {
      env: { ...process.env, ...Object.fromEntries((exec.env ?? []).map((e) => [e.name, e.value])), KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      stdio: [interactive ? 'inherit' : 'ignore', 'pipe', 'inherit'],
    })
    const chunks: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
    child.once('error', (error) => reject(failed(`can't be run: ${error.message}`, error)))
    child.once('close', (code) => (code === 0 ? resolve(Buffer.concat(chunks).toString('utf8')) : reject(failed(`ended with ${code}`))))
  })
  let status: ExecCredential['status']
  try {
    status = (JSON.parse(out) as ExecCredential).status
  } catch {
    throw failed('printed no ExecCredential')
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = status ?? {}
  if (token === undefined && (cert === undefined || key === undefined)) throw failed('gave neither a token nor a certificate')
  return {
    credential: { headers: token === undefined ? {} : { authorization: `Bearer ${token}` }, ...(cert === undefined || key === undefined ? {} : { cert, key }) },
    untilMs: expirationTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(expirationTimestamp),
  }
}

function encoded(file: string | undefined): string | undefined {
  return file === undefined ? undefined : Buffer.from(readText(file)).toString('base64')
}

function fileOrData(user: UserEntry, name: 'client-certificate' | 'client-key'): string | undefined {
  const data = user[`${name}-data`]
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8')
  return user[name] === undefined ? undefined : readText(user[name])
}

export function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new KithError('KUBECONFIG_INVALID', `${file}, which the kubeconfig names, can't be read: ${(cause as Error).message}`, { cause })
  }
}
