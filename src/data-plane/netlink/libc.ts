// The few functions of the C library that Node has no way to call. The only file that touches node:ffi.
// Law: loaded at first use, so that a machine without FFI can still run everything that does not need it.
import { KithError } from '#lib/errors.ts'
import { errnoName } from './errno.ts'

/** glibc and musl alike; key names are node:ffi's own (`arguments`, `return`), unknown ones would be ignored silently. */
const signatures = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'], return: 'int32' },
  getsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
  bind: { arguments: ['int32', 'buffer', 'uint32'], return: 'int32' },
  send: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
  recv: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
  unshare: { arguments: ['int32'], return: 'int32' },
  setns: { arguments: ['int32', 'int32'], return: 'int32' },
  mount: { arguments: ['string', 'string', 'string', 'uint64', 'string'], return: 'int32' },
  waitid: { arguments: ['int32', 'uint32', 'buffer', 'int32'], return: 'int32' },
  waitpid: { arguments: ['int32', 'pointer', 'int32'], return: 'int32' },
  sethostname: { arguments: ['string', 'uint64'], return: 'int32' },
  __errno_location: { arguments: [], return: 'pointer' },
} as const

type Functions = import('node:ffi').WrappedFunctionsFromDefinitions<typeof signatures>

interface Libc {
  readonly call: Functions
  errno(): number
}

let loaded: Libc | undefined

/** @throws KithError FFI_UNAVAILABLE where this Node or this platform has no FFI, or the C library lacks Linux's functions. */
export function libc(): Libc {
  if (loaded !== undefined) return loaded
  try {
    const ffi = process.getBuiltinModule('node:ffi')
    if (ffi === undefined) throw new Error(`Node ${process.version} has no node:ffi`)
    const { functions } = ffi.dlopen(null, signatures)
    loaded = { call: functions, errno: () => ffi.getInt32(functions.__errno_location()) }
    return loaded
  } catch (error) {
    throw new KithError('FFI_UNAVAILABLE', 'namespaces and interception need Linux and a Node with FFI (26.1 or later, no --no-experimental-ffi)', { cause: error })
  }
}

/** The result of a call that says -1 where it failed. @throws KithError SYSTEM_CALL_FAILED, named. */
export function checked(result: number | bigint, what: string): number {
  const value = Number(result)
  if (value >= 0) return value
  const errno = libc().errno()
  throw new SystemCallError(what, errno)
}

/** A refused system call: `errno` is Linux's number, `name` its name. */
export class SystemCallError extends KithError {
  readonly errno: number
  readonly errnoName: string
  constructor(what: string, errno: number, detail?: string) {
    super('SYSTEM_CALL_FAILED', `${what}: ${errnoName(errno)}${detail === undefined ? '' : ` (${detail})`}`)
    this.errno = errno
    this.errnoName = errnoName(errno).split(' ')[0] as string
  }
}
