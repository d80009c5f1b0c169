// What a call really did, read from what the server's application received: never computed from a policy.

/** What a client program printed and how it ended. */
export interface ClientRun {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface Measured {
  readonly outcome: 'mtls' | 'tls' | 'plaintext' | 'blocked'
  /** HTTP status, or null where no answer came. */
  readonly status: number | null
  /** SPIFFE ids from X-Forwarded-Client-Cert, as the server's application received them. */
  readonly client: string | null
  readonly server: string | null
  /** One line for the table: the evidence. */
  readonly proof: string
}

/** curl's exit codes that mean "the connection was closed on me". */
const closedCodes: Record<number, string> = { 7: 'connection refused', 28: 'timed out', 35: 'TLS handshake failed', 52: 'connection closed without an answer', 55: 'connection closed', 56: 'connection closed' }

/** The arguments of a curl (or of the walkthrough's client) that prints the body, a newline and the status. */
export function clientArguments(hasCurl: boolean, url: string, node: string, client: string): string[] {
  return hasCurl ? ['curl', '-sS', '--max-time', '10', '-w', '\n%{http_code}', url] : [node, client, url]
}

export function measure(run: ClientRun): Measured {
  const nothing = { client: null, server: null, status: null }
  if (run.code !== 0) return { outcome: 'blocked', ...nothing, proof: closedCodes[run.code] ?? `client ended with ${run.code}: ${run.stderr.trim()}` }
  const cut = run.stdout.lastIndexOf('\n')
  const status = Number(run.stdout.slice(cut + 1))
  const body = run.stdout.slice(0, Math.max(cut, 0))
  if (status !== 200) return { outcome: 'blocked', ...nothing, status, proof: `${status} ${body.trim().split('\n')[0] ?? ''}`.trim() }
  const answer = JSON.parse(body) as { tls?: string | null; sni?: string | null; clientCertificate?: boolean; headers: Record<string, string> }
  if (answer.tls !== undefined) {
    const proof = answer.tls === null ? 'the server received plaintext' : `the server received ${answer.tls}, SNI ${answer.sni ?? 'none'}, ${answer.clientCertificate === true ? 'a' : 'no'} client certificate`
    return { outcome: answer.tls === null ? 'plaintext' : 'tls', status, client: null, server: null, proof }
  }
  const xfcc = Object.entries(answer.headers).find(([name]) => name.toLowerCase() === 'x-forwarded-client-cert')?.[1]
  const client = field(xfcc, 'URI')
  const server = field(xfcc, 'By')
  if (client === null || server === null) return { outcome: 'plaintext', status, client, server, proof: 'no client certificate was seen' }
  return { outcome: 'mtls', status, client, server, proof: `${short(client)} → ${short(server)}` }
}

/** `URI=` or `By=` of the first element of an X-Forwarded-Client-Cert header. */
function field(xfcc: string | undefined, name: string): string | null {
  const found = xfcc === undefined ? null : new RegExp(`(?:^|[;,])${name}=([^;,]+)`).exec(xfcc)
  return found?.[1] ?? null
}

function short(id: string): string {
  return id.replace(/^spiffe:\/\/[^/]+/, '')
}
