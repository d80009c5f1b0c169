// `kith-agent drain` and `kith-agent wait`: what lifecycle handlers run inside the sidecar's container, where there is no shell. Istio: pilot-agent wait, pilot-agent request.
import { request } from 'node:http'

const pollMs = 100

interface Answer {
  readonly status: number
  readonly body: string
}

function ask(method: string, port: number, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, method, agent: false, timeout: 5000 }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text)).on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer within 5 s'))).on('error', reject).end()
  })
}

/** Until the sidecar is ready: the application's container starts after that. */
async function wait(timeoutSeconds: number): Promise<number> {
  const endMs = Date.now() + timeoutSeconds * 1000
  let last = ''
  while (Date.now() < endMs) {
    const answer = await ask('GET', 15021, '/healthz/ready').catch((error: Error) => ({ status: 0, body: error.message }))
    if (answer.status === 200) return 0
    last = answer.body.trim()
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
  process.stderr.write(`kith-agent: not ready after ${timeoutSeconds} s: ${last}\n`)
  return 1
}

/** The sidecar takes no new work and lets open work end; it stays until the kubelet ends it. */
async function drain(): Promise<number> {
  const { status, body } = await ask('POST', 15020, '/drain')
  if (status === 200) return 0
  process.stderr.write(`kith-agent: drain was answered ${status}: ${body}\n`)
  return 1
}

const flag = (name: string, otherwise: number): number => {
  const given = process.argv.slice(3).map((a, i, all) => (a === `--${name}` ? all[i + 1] : a.startsWith(`--${name}=`) ? a.slice(name.length + 3) : undefined)).find((a) => a !== undefined)
  return given === undefined ? otherwise : Number(given)
}

const [, , command = ''] = process.argv
try {
  if (command === 'wait') process.exitCode = await wait(flag('timeoutDurationSeconds', 60))
  else if (command === 'drain') process.exitCode = await drain()
  else {
    process.stderr.write('kith-agent wait [--timeoutDurationSeconds 60] | drain\n')
    process.exitCode = 2
  }
} catch (error) {
  process.stderr.write(`kith-agent: ${(error as Error).message}\n`)
  process.exitCode = 1
}
