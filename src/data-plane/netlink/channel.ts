// A netlink socket of the calling thread's network namespace: messages out, answers in, errors named.
// The kernel answers while it takes the message, so everything here is synchronous.
import { closeSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import { checked, libc, SystemCallError } from './libc.ts'
import { decodeAnswers, encodeMessages, type Answer, type Message } from './message.ts'

const AF_NETLINK = 16
const SOCK_RAW = 3
const SOCK_CLOEXEC = 0o2000000
const MSG_DONTWAIT = 0x40
const EAGAIN = 11
const EINTR = 4
const SOL_NETLINK = 270
const NETLINK_CAP_ACK = 10
const NETLINK_EXT_ACK = 11
export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

/** A failed request: `what` names the message that the kernel refused. */
export interface Channel {
  /**
   * Sends messages and waits for the kernel's word on them. `acknowledge: 'each'` for requests that stand alone, 'last' for a batch that
   * holds or fails as a whole (an ACK each would overrun the receive buffer of a long one). Returns what came besides ACKs.
   * @throws SystemCallError for the first message that was refused
   */
  request(messages: readonly Message[], acknowledge: 'each' | 'last'): readonly Answer[]
  close(): void
}

/** @throws SystemCallError where the kernel lacks the protocol (EPROTONOSUPPORT) or forbids it (EPERM) */
export function openChannel(protocol: typeof NETLINK_ROUTE | typeof NETLINK_NETFILTER): Channel {
  const { call } = libc()
  const fd = checked(call.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'opening a netlink socket')
  const on = Buffer.from([1, 0, 0, 0])
  call.setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, on, 4)
  call.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, on, 4)
  let sequence = 1
  return {
    request(messages, acknowledge) {
      const first = sequence
      sequence += messages.length
      const last = lastToAcknowledge(messages)
      const bytes = encodeMessages(messages, first, (i) => (acknowledge === 'each' ? true : i === last))
      checked(call.send(fd, bytes, BigInt(bytes.length), 0), `sending ${messages.length} netlink messages`)
      return receive(fd, first, messages, acknowledge === 'each' ? messages.length : 1)
    },
    close: () => closeSync(fd),
  }
}

/** Behind a batch's last change comes its end, which is never acknowledged. */
function lastToAcknowledge(messages: readonly Message[]): number {
  const end = messages.at(-1)
  return end !== undefined && end.type === batchEnd ? messages.length - 2 : messages.length - 1
}

export const batchBegin = 16
export const batchEnd = 17

const buffer = Buffer.alloc(1 << 16)

function receive(fd: number, first: number, messages: readonly Message[], expected: number): readonly Answer[] {
  const { call, errno } = libc()
  const others: Answer[] = []
  let outstanding = expected
  let refused: Answer | undefined
  while (outstanding > 0) {
    const length = Number(call.recv(fd, buffer, BigInt(buffer.length), MSG_DONTWAIT))
    if (length < 0) {
      const error = errno()
      if (error === EINTR) continue
      if (error === EAGAIN) break
      throw new SystemCallError('receiving from netlink', error)
    }
    for (const answer of decodeAnswers(Buffer.from(buffer.subarray(0, length)))) {
      if (answer.errno === undefined && !answer.done) others.push(answer)
      else {
        outstanding--
        if ((answer.errno ?? 0) !== 0) refused ??= answer
      }
    }
  }
  if (refused !== undefined) throw new SystemCallError(messages[refused.sequence - first]?.what ?? 'netlink', refused.errno as number, refused.detail)
  if (outstanding > 0) throw new KithError('NETLINK_SILENT', `the kernel did not answer: ${messages[0]?.what ?? 'netlink'}`)
  return others
}
