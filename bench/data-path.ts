// What a pair of sidecars costs: real mTLS on loopback, four processes (load, client's sidecar, server's sidecar, application).
// node bench/data-path.ts [--requests 10000] [--connections 16] [--bytes 1024] [--gigabytes 1] [--rate 0] [--http2]: figures on stdout, exit 1 on any failure.
import { fork, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createServer, connect, type Socket } from 'node:net'
import { parseArgs } from 'node:util'
import { silentLogger } from '#lib/log.ts'
import { createAuthority } from '../test/data-plane/authority.ts'
import { http2Application, http2Load, http2Put, http2Service } from './http2-load.ts'
import { freePort } from '../test/fixtures/ports.ts'
import { baseService, clientId, entriesFor, serverId, startClientSide, startServerSide } from '../test/data-plane/pair.ts'

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '10000' },
    connections: { type: 'string', default: '16' },
    bytes: { type: 'string', default: '1024' },
    gigabytes: { type: 'string', default: '1' },
    rate: { type: 'string', default: '0' },
    direct: { type: 'boolean', default: false },
    /** One connection of HTTP/2, so many streams at a time. */
    http2: { type: 'boolean', default: false },
    profile: { type: 'string', default: '' },
  },
})
const inboundOf = (http2: boolean) => [{ port: 80, kind: 'http', mode: 'STRICT', http: http2 ? 'http2' : 'http1' }] as const
const inbound = inboundOf(values.http2)

interface Usage {
  readonly cpuMs: number
  readonly rssMb: number
}

async function role(m: { role: string; cert: { chain: string; key: string }; root: string; appPort: number; entries: Awaited<ReturnType<typeof entriesFor>>; proxyPort: number; bytes: number; http2: boolean }): Promise<void> {
  const ports = inboundOf(m.http2)
  const side = { cert: m.cert, root: m.root, log: silentLogger }
  if (m.role === 'app') await (m.http2 ? http2Application : application)(m.appPort, m.bytes)
  else if (m.role === 'server') await startServerSide({ ...side, inbound: ports, entries: m.entries, passthrough: 'STRICT' })
  else await startClientSide({ ...side, services: [{ ...baseService(ports), ...(m.http2 ? http2Service : {}) }], dial: Object.fromEntries(m.entries.map((e) => [e.originalDestination, e.listen])), proxyPort: m.proxyPort })
  let before = process.cpuUsage()
  process.on('message', (ask) => {
    if (ask === 'reset') before = process.cpuUsage()
    const used = process.cpuUsage(before)
    process.send?.({ cpuMs: (used.user + used.system) / 1000, rssMb: process.memoryUsage.rss() / 1e6 })
  })
  process.on('disconnect', () => process.exit(0))
  process.send?.('ready')
}

/** GET answers `bytes` bytes; PUT answers the SHA-256 of what came; `/big/N` sends N MB. */
async function application(port: number, bytes: number): Promise<void> {
  const body = Buffer.alloc(bytes, 'x')
  const answer = Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${bytes}\r\ncontent-type: text/plain\r\n\r\n`), body])
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    let hash: ReturnType<typeof createHash> | undefined
    let left = 0
    socket.on('data', (chunk: Buffer) => {
      if (hash === undefined) {
        const end = chunk.indexOf('\r\n\r\n')
        const head = chunk.toString('latin1', 0, end)
        if (head.startsWith('GET')) return void socket.write(answer)
        left = Number(/content-length: (\d+)/i.exec(head)?.[1])
        hash = createHash('sha256')
        chunk = chunk.subarray(end + 4)
      }
      hash.update(chunk)
      left -= chunk.length
      if (left > 0) return
      const digest = hash.digest('hex')
      hash = undefined
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${digest.length}\r\n\r\n${digest}`)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
}

async function main(): Promise<void> {
  const authority = await createAuthority()
  const [serverCert, clientCert] = await Promise.all([authority.issue([{ type: 'url', value: serverId }]), authority.issue([{ type: 'url', value: clientId }])])
  const appPort = await freePort()
  const proxyPort = await freePort()
  const entries = await entriesFor(inbound, appPort)
  const bytes = Number(values.bytes)
  const children: Record<string, ChildProcess> = {}
  for (const [name, cert] of [['app', clientCert], ['server', serverCert], ['client', clientCert]] as const) {
    const profile = values.profile === name ? ['--cpu-prof', '--cpu-prof-dir=/tmp/kith-prof'] : []
    const child = fork(import.meta.filename, [], { execArgv: ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1', ...profile] })
    children[name] = child
    const ready = new Promise((resolve) => child.once('message', resolve))
    child.send({ role: name, cert, root: authority.root, appPort, entries, proxyPort, bytes, http2: values.http2 })
    await ready
  }
  const ask = (name: string, what: string): Promise<Usage> =>
    new Promise((resolve) => {
      children[name]?.once('message', (m) => resolve(m as Usage))
      children[name]?.send(what)
    })
  let failed = 0
  const target = values.direct ? appPort : proxyPort
  try {
    await load(target, 500, 4)
    const rest = await usage(ask)
    console.log(`at rest            client ${rest.client.rssMb.toFixed(0)} MB, server ${rest.server.rssMb.toFixed(0)} MB resident`)
    const total = Number(values.requests)
    await Promise.all([ask('client', 'reset'), ask('server', 'reset')])
    const start = performance.now()
    failed += await load(target, total, Number(values.connections), Number(values.rate))
    const seconds = (performance.now() - start) / 1000
    const after = await usage(ask)
    console.log(`${total} requests of ${bytes} B over ${values.http2 ? `one connection, ${values.connections} at a time` : `${values.connections} connections`}: ${failed} failed, ${(total / seconds).toFixed(0)} req/s`)
    console.log(`cpu per request    client ${((after.client.cpuMs * 1000) / total).toFixed(0)} µs, server ${((after.server.cpuMs * 1000) / total).toFixed(0)} µs`)
    console.log(`resident           client ${after.client.rssMb.toFixed(0)} MB, server ${after.server.rssMb.toFixed(0)} MB`)
    if (Number(values.gigabytes) > 0) failed += await big(target, Number(values.gigabytes) * 1e9, ask)
  } finally {
    for (const child of Object.values(children)) child.disconnect()
  }
  process.exit(failed === 0 ? 0 : 1)
}

async function usage(ask: (name: string, what: string) => Promise<Usage>): Promise<{ client: Usage; server: Usage }> {
  const [client, server] = await Promise.all([ask('client', 'say'), ask('server', 'say')])
  return { client, server }
}

/** An explicit-mode connection is opened by CONNECT, and is then like an intercepted one. */
async function open(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  socket.on('error', () => {})
  if (values.direct) return socket
  socket.write('CONNECT httpbin.bar:8000 HTTP/1.1\r\nhost: httpbin.bar:8000\r\n\r\n')
  await new Promise<void>((resolve, reject) => {
    socket.once('data', () => resolve())
    socket.once('close', () => reject(new Error('the proxy closed the connection')))
  })
  return socket
}

const requestBytes = Buffer.from('GET /get HTTP/1.1\r\nhost: httpbin.bar:8000\r\nuser-agent: bench/1\r\naccept: */*\r\n\r\n')

/** Failures among `total` requests. `rate` in requests a second; 0 = as fast as it goes. */
async function load(port: number, total: number, connections: number, rate = 0): Promise<number> {
  if (values.http2) return http2Load(await open(port), total, connections)
  let started = 0
  let failures = 0
  const worker = async (): Promise<void> => {
    const socket = await open(port)
    await new Promise<void>((resolve) => {
      let missing = 0
      let inBody = false
      const next = (): void => {
        if (started >= total) {
          socket.end()
          return resolve()
        }
        started++
        missing = 0
        inBody = false
        if (rate === 0) socket.write(requestBytes)
        else setTimeout(() => socket.write(requestBytes), (1000 * connections) / rate)
      }
      socket.on('data', (chunk: Buffer) => {
        let from = 0
        if (!inBody) {
          const end = chunk.indexOf('\r\n\r\n')
          const head = chunk.toString('latin1', 0, end)
          if (!head.startsWith('HTTP/1.1 200') && failures++ < 3) console.log(chunk.toString('latin1').slice(0, 600))
          missing = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0)
          inBody = true
          from = end + 4
        }
        missing -= chunk.length - from
        if (missing === 0) next()
      })
      socket.once('close', () => {
        if (started < total) failures++
        resolve()
      })
      next()
    })
  }
  await Promise.all(Array.from({ length: connections }, worker))
  return failures
}

/** One body over HTTP/1.1; what the application says of it. */
async function put(socket: Socket, parts: Iterable<Buffer>, bytes: number): Promise<string> {
  const answer = new Promise<string>((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      const end = text.indexOf('\r\n\r\n')
      if (end >= 0 && text.length >= end + 4 + 64) resolve(text.slice(end + 4))
    })
    socket.once('close', () => resolve(`closed: ${text}`))
  })
  socket.write(`PUT /big HTTP/1.1\r\nhost: httpbin.bar:8000\r\ncontent-length: ${bytes}\r\n\r\n`)
  for (const part of parts) if (!socket.write(part)) await new Promise((resolve) => socket.once('drain', resolve))
  return answer
}

/** Sends one huge body through and compares checksums; watches memory meanwhile. */
async function big(port: number, bytes: number, ask: (name: string, what: string) => Promise<Usage>): Promise<number> {
  const socket = await open(port)
  const block = Buffer.alloc(1024 * 1024)
  for (let i = 0; i < block.length; i++) block[i] = (i * 31) & 255
  const hash = createHash('sha256')
  const before = await usage(ask)
  await Promise.all([ask('client', 'reset'), ask('server', 'reset')])
  let peak = 0
  const watch = setInterval(() => void usage(ask).then((u) => (peak = Math.max(peak, u.client.rssMb, u.server.rssMb))), 200)
  const start = performance.now()
  const parts = function* (): Generator<Buffer> {
    for (let sent = 0; sent < bytes; sent += block.length) {
      const part = block.subarray(0, Math.min(block.length, bytes - sent))
      hash.update(part)
      yield part
    }
  }
  const equal = (await (values.http2 ? http2Put : put)(socket, parts(), bytes)) === hash.digest('hex')
  clearInterval(watch)
  const seconds = (performance.now() - start) / 1000
  const after = await usage(ask)
  socket.destroy()
  console.log(`${(bytes / 1e9).toFixed(1)} GB body        checksum ${equal ? 'equal' : 'DIFFERENT'}, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s, cpu client ${(after.client.cpuMs / (bytes / 1e9)).toFixed(0)} ms/GB, server ${(after.server.cpuMs / (bytes / 1e9)).toFixed(0)} ms/GB`)
  console.log(`memory meanwhile   from ${Math.max(before.client.rssMb, before.server.rssMb).toFixed(0)} MB, peak ${peak.toFixed(0)} MB`)
  return equal ? 0 : 1
}

if (process.send === undefined) await main()
else process.once('message', (m) => void role(m as Parameters<typeof role>[0]))
