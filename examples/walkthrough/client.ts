// A client where the machine has no curl: one request, the body on stdout, the failure on stderr, curl's exit codes.
import { request } from 'node:http'

const [url, ...headers] = process.argv.slice(2)
if (url === undefined) {
  process.stderr.write('usage: client.ts URL [NAME:VALUE…]\n')
  process.exit(2)
}
/** curl's: 6 name not resolved, 7 refused, 28 timed out, 56 closed by the peer. */
const exitCodes: Record<string, number> = { ENOTFOUND: 6, EAI_AGAIN: 6, ECONNREFUSED: 7, ETIMEDOUT: 28, ECONNRESET: 56, EPIPE: 56, HPE_INVALID_CONSTANT: 56 }
const sent = request(url, { headers: Object.fromEntries(headers.map((h) => [h.slice(0, h.indexOf(':')), h.slice(h.indexOf(':') + 1).trim()])), timeout: 10_000, agent: false }, (response) => {
  response.pipe(process.stdout)
  response.on('end', () => process.stdout.write(`\n${response.statusCode}`))
})
sent.on('timeout', () => sent.destroy(Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' })))
sent.on('error', (error: NodeJS.ErrnoException) => {
  process.stderr.write(`${error.message}\n`)
  process.exit(exitCodes[error.code ?? ''] ?? 1)
})
sent.end()
