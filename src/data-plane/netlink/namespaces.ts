// Namespaces of the calling thread. Sockets opened and children spawned while the main thread is inside one belong to it,
// so a pod needs neither `ip netns` nor nsenter.
// Law: going in, the action and coming back are one synchronous step; a promise inside would land who knows where.
import { closeSync, openSync } from 'node:fs'
import { checked, libc } from './libc.ts'

const CLONE_FS = 0x200
const CLONE_NEWNS = 0x20000
const CLONE_NEWNET = 0x40000000

const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MS_REMOUNT = 32
const MS_BIND = 4096
const MS_REC = 16384
const MS_PRIVATE = 1 << 18

export interface Namespaces {
  /** Descriptors of namespaces; absent ones stay as they are. */
  readonly network?: number
  readonly mount?: number
}

/** A descriptor of the thread's own namespace; close it when done. */
export function currentNamespace(kind: 'net' | 'mnt'): number {
  return openSync(`/proc/thread-self/ns/${kind}`, 'r')
}

/** A new, empty network namespace. It lives as long as the descriptor, a process or a socket in it does. @throws SystemCallError */
export function newNetworkNamespace(): number {
  return made('net', CLONE_NEWNET, () => undefined)
}

/**
 * A copy of the thread's mount namespace, changed by `arrange` (its mounts are seen there alone).
 * From the first call on, the main thread no longer shares its working directory with other threads. @throws SystemCallError
 */
export function newMountNamespace(arrange: () => void): number {
  return made('mnt', CLONE_NEWNS, () => {
    mount('none', '/', { flags: ['private', 'recursive'] })
    arrange()
  })
}

function made(kind: 'net' | 'mnt', flag: number, arrange: () => void): number {
  const home = currentNamespace(kind)
  const directory = kind === 'mnt' ? process.cwd() : undefined
  try {
    checked(libc().call.unshare(flag), kind === 'net' ? 'making a network namespace' : 'making a mount namespace')
    try {
      arrange()
      return currentNamespace(kind)
    } finally {
      enter(home, flag)
      if (directory !== undefined) process.chdir(directory)
    }
  } finally {
    closeSync(home)
  }
}

/** Runs `action` with the calling thread inside; synchronous only. What it opens or spawns belongs there. */
export function inNamespaces<T>(where: Namespaces, action: () => T): T {
  const back: { fd: number; flag: number }[] = []
  const directory = where.mount === undefined ? undefined : process.cwd()
  try {
    if (where.mount !== undefined) {
      // A thread that shares its root and working directory with others may not change its mount namespace.
      checked(libc().call.unshare(CLONE_FS), 'leaving the shared working directory')
      back.push({ fd: currentNamespace('mnt'), flag: CLONE_NEWNS })
      enter(where.mount, CLONE_NEWNS)
    }
    if (where.network !== undefined) {
      back.push({ fd: currentNamespace('net'), flag: CLONE_NEWNET })
      enter(where.network, CLONE_NEWNET)
    }
    return action()
  } finally {
    for (const { fd, flag } of back.reverse()) {
      enter(fd, flag)
      closeSync(fd)
    }
    if (directory !== undefined) process.chdir(directory)
  }
}

function enter(fd: number, flag: number): void {
  checked(libc().call.setns(fd, flag), flag === CLONE_NEWNET ? 'entering a network namespace' : 'entering a mount namespace')
}

export interface MountOptions {
  readonly type?: string
  readonly flags?: readonly ('bind' | 'recursive' | 'private' | 'readonly' | 'nosuid' | 'nodev' | 'remount')[]
  /** Options of the file system: `mode=755,size=64m`. */
  readonly data?: string
}

const flagBits = { bind: MS_BIND, recursive: MS_REC, private: MS_PRIVATE, readonly: MS_RDONLY, nosuid: MS_NOSUID, nodev: MS_NODEV, remount: MS_REMOUNT }

/** mount(2) in the thread's mount namespace. Links in `target` are followed. @throws SystemCallError */
export function mount(source: string, target: string, options: MountOptions): void {
  const flags = (options.flags ?? []).reduce((bits, f) => bits | flagBits[f], 0)
  checked(libc().call.mount(source, target, options.type ?? 'none', BigInt(flags), options.data ?? ''), `mounting ${options.type ?? source} on ${target}`)
}

/** Takes leave of ended children that are not `own`: an init process inherits orphans and must reap them. Returns their ids. */
export function reapOrphans(own: ReadonlySet<number>): number[] {
  const reaped: number[] = []
  const info = Buffer.alloc(128)
  const WNOHANG = 1
  const WEXITED = 4
  const WNOWAIT = 0x1000000
  for (;;) {
    info.fill(0)
    if (libc().call.waitid(0, 0, info, WNOHANG | WEXITED | WNOWAIT) !== 0) return reaped
    const pid = info.readInt32LE(16)
    // One of our own stands at the head of the queue: Node will fetch it, the orphans behind it come next time.
    if (pid === 0 || own.has(pid)) return reaped
    libc().call.waitpid(pid, 0n, WNOHANG)
    reaped.push(pid)
  }
}
