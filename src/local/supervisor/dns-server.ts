// The cluster's DNS on the bridge: UDP and TCP, answers from the mesh as it is now. Names of nobody here are answered as unknown: the sandbox has no way out.
import { createSocket, type Socket as Datagram } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'
import { decode, encode, streamDecode, streamEncode, type Packet, type Question } from 'dns-packet'
import { resolveName, type Names } from '../names.ts'

const authoritative = 1 << 10
const nameError = 3
const mostTcpBytes = 4096

export class DnsServer {
  #names: Names | undefined
  readonly #datagrams: Datagram[]
  readonly #streams: Server[]

  constructor(addresses: readonly string[]) {
    this.#datagrams = addresses.map((address) => {
      const socket = createSocket('udp4')
      socket.on('message', (bytes, from) => {
        const answer = this.#answer(() => decode(bytes))
        if (answer !== undefined) socket.send(encode(answer), from.port, from.address)
      })
      socket.on('error', () => undefined)
      socket.bind(53, address)
      return socket
    })
    this.#streams = addresses.map((address) => createServer((socket) => this.#serve(socket)).listen(53, address))
  }

  publish(names: Names): void {
    this.#names = names
  }

  close(): void {
    for (const s of this.#datagrams) s.close()
    for (const s of this.#streams) s.close()
  }

  #serve(socket: Socket): void {
    let bytes = Buffer.alloc(0)
    socket.setTimeout(5000, () => socket.destroy())
    socket.on('error', () => undefined)
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length > mostTcpBytes) return void socket.destroy()
      while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        const length = 2 + bytes.readUInt16BE(0)
        const message = Buffer.from(bytes.subarray(0, length))
        bytes = bytes.subarray(length)
        const answer = this.#answer(() => streamDecode(message))
        if (answer === undefined) return void socket.destroy()
        socket.write(streamEncode(answer))
      }
    })
  }

  #answer(read: () => Packet): Packet | undefined {
    try {
      const query = read()
      const [question] = query.questions ?? []
      if (question === undefined || query.type !== 'query') return undefined
      return this.#answerTo(query, question)
    } catch {
      return undefined
    }
  }

  #answerTo(query: Packet, question: Question): Packet {
    const resolved = this.#names === undefined ? { known: false, answers: [] } : resolveName(this.#names, question)
    const recursion = ((query.flags ?? 0) & 0x100) | 0x80
    return { type: 'response', id: query.id ?? 0, flags: authoritative | recursion | (resolved.known ? 0 : nameError), questions: [question], answers: [...resolved.answers] }
  }
}
