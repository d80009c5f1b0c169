// What a proxy needs of its sockets and Node does not offer: where a redirected connection wanted to go, and marked sockets.
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { checked, libc } from './libc.ts'

export interface SocketAddress {
  /** Without a prefix for mapped addresses: `10.0.0.7`, `fd00::7`. */
  readonly address: string
  readonly port: number
}

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_NONBLOCK = 0o4000
const SOCK_CLOEXEC = 0o2000000
const SOL_IP = 0
const SOL_SOCKET = 1
const SOL_IPV6 = 41
const SO_MARK = 36
/** The same number for both families (IP6T_SO_ORIGINAL_DST). */
const SO_ORIGINAL_DST = 80

const answer = Buffer.alloc(28)
const answerLength = Buffer.alloc(4)

/**
 * Where the kernel's redirection took this connection from, by conntrack. A connection that was not redirected answers its own
 * local address, or nothing. An IPv6 socket with an IPv4 peer (a dual-stack listener) is asked for IPv4 first.
 * Returns undefined where the socket has gone already.
 */
export function originalDestination(socket: Socket | number): SocketAddress | undefined {
  const fd = typeof socket === 'number' ? socket : fileDescriptor(socket)
  if (fd === undefined || fd < 0) return undefined
  return ask(fd, SOL_IP) ?? ask(fd, SOL_IPV6)
}

/** The descriptor of a connected or listening Node socket; undefined once it is closed. */
export function fileDescriptor(socket: object): number | undefined {
  const fd = (socket as { _handle?: { fd?: number } | null })._handle?.fd
  return fd === undefined || fd < 0 ? undefined : fd
}

function ask(fd: number, level: number): SocketAddress | undefined {
  answerLength.writeUInt32LE(answer.length)
  if (libc().call.getsockopt(fd, level, SO_ORIGINAL_DST, answer, answerLength) !== 0) return undefined
  return parseSockaddr(answer)
}

/** `struct sockaddr_in` or `sockaddr_in6` as the kernel wrote it; undefined for other families. */
export function parseSockaddr(bytes: Uint8Array): SocketAddress | undefined {
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const family = b.readUInt16LE(0)
  const port = b.readUInt16BE(2)
  if (family === AF_INET) return { address: `${b[4]}.${b[5]}.${b[6]}.${b[7]}`, port }
  if (family !== AF_INET6) return undefined
  const mapped = b.readUInt32BE(8) === 0 && b.readUInt32BE(12) === 0 && b.readUInt32BE(16) === 0xffff
  return { address: mapped ? `${b[20]}.${b[21]}.${b[22]}.${b[23]}` : formatIpv6(b.subarray(8, 24)), port }
}

/** RFC 5952: lower case, the longest run of two or more zero groups as `::`. */
export function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number))
  let best = { start: -1, length: 1 }
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && groups[i + length] === 0) length++
    if (length > best.length) best = { start: i, length }
    i += length
  }
  const text = groups.map((g) => g.toString(16))
  return best.start < 0 ? text.join(':') : `${text.slice(0, best.start).join(':')}::${text.slice(best.start + best.length).join(':')}`
}

export interface MarkedSocketOptions {
  /** 4 or 6: the family of the address that it will connect to. */
  readonly family: 4 | 6
  /** SO_MARK, to be told apart by the interception's rules; needs CAP_NET_ADMIN or CAP_NET_RAW. 0 or absent: none. */
  readonly mark?: number
  readonly allowHalfOpen?: boolean
}

/**
 * A TCP socket that belongs to the calling thread's network namespace from now on, not yet connected: call
 * `socket.connect({ host, port, localAddress })` with an IP address. @throws SystemCallError
 */
export function markedSocket(options: MarkedSocketOptions): Socket {
  const fd = openTcp(options.family, options.mark)
  return new Socket({ fd, manualStart: true, allowHalfOpen: options.allowHalfOpen ?? false } as ConstructorParameters<typeof Socket>[0])
}

function openTcp(family: 4 | 6, mark = 0): number {
  const fd = checked(libc().call.socket(family === 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket')
  if (mark === 0) return fd
  try {
    setMark(fd, mark)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Marks a socket that exists already; its next packets carry the mark. @throws SystemCallError (EPERM without CAP_NET_ADMIN or CAP_NET_RAW) */
function setMark(fd: number, mark: number): void {
  const value = Buffer.alloc(4)
  value.writeUInt32LE(mark)
  checked(libc().call.setsockopt(fd, SOL_SOCKET, SO_MARK, value, 4), 'setting SO_MARK')
}

/** States of a TCP connection, as the kernel numbers them (`tcp_states.h`). */
export const tcpStates = { established: 1, closed: 7, closeWait: 8 } as const

/** What the kernel knows of a connection. */
export interface TcpInfo {
  /** One of `tcpStates`, or another number of `tcp_states.h`. */
  state: number
  /** Octets that the peer's kernel has acknowledged since the connection began. */
  acknowledged: number
}

const IPPROTO_TCP = 6
const TCP_INFO = 11
const SO_LINGER = 13
/** Of `struct tcp_info`: where tcpi_bytes_acked (64 bits, little endian) begins. */
const bytesAckedAt = 120
const info = Buffer.alloc(bytesAckedAt + 8)
const infoLength = Buffer.alloc(4)
const shared: TcpInfo = { state: 0, acknowledged: 0 }
let withoutFfi = false

/**
 * Asks the kernel about a connected TCP socket, or a TLS socket over one (tcp(7), TCP_INFO). The answer is one object for all calls: read
 * it before the next one. Returns undefined where the socket is closed, or where this Node or this kernel cannot be asked.
 */
export function tcpInfo(socket: object): TcpInfo | undefined {
  const fd = fileDescriptor(socket)
  if (fd === undefined || withoutFfi) return undefined
  try {
    infoLength.writeUInt32LE(info.length)
    if (libc().call.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, infoLength) !== 0 || infoLength.readUInt32LE() < info.length) return undefined
  } catch {
    withoutFfi = true
    return undefined
  }
  shared.state = info[0] as number
  shared.acknowledged = info.readUInt32LE(bytesAckedAt) + info.readUInt32LE(bytesAckedAt + 4) * 2 ** 32
  return shared
}

const noLinger = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])

/** From here on closing the socket sends RST, and drops what is queued. Without effect where Node has no FFI. */
export function resetOnClose(socket: object): void {
  const fd = fileDescriptor(socket)
  if (fd === undefined || withoutFfi) return
  try {
    libc().call.setsockopt(fd, SOL_SOCKET, SO_LINGER, noLinger, noLinger.length)
  } catch {
    withoutFfi = true
  }
}
