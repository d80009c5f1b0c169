// Linux's error numbers (x86-64 and arm64 share them) as names and, where it helps, as a reason.

const reasons: Readonly<Record<string, string>> = {
  EPERM: 'not permitted here; a user namespace or root is needed',
  EEXIST: 'it exists already',
  ENOENT: 'no such thing',
  EOPNOTSUPP: 'this kernel does not know it',
  EPROTONOSUPPORT: 'this kernel lacks the protocol',
  EAFNOSUPPORT: 'this kernel lacks the address family',
  ENODEV: 'no such device',
  ENOBUFS: 'the socket’s buffer is full',
  EMSGSIZE: 'the message is larger than the socket’s buffer',
  ENETDOWN: 'the link is down',
  EUSERS: 'too many namespaces (see /proc/sys/user)',
  ENOSPC: 'too many namespaces (see /proc/sys/user)',
}

const names: Readonly<Record<number, string>> = {
  1: 'EPERM', 2: 'ENOENT', 3: 'ESRCH', 4: 'EINTR', 5: 'EIO', 6: 'ENXIO', 7: 'E2BIG', 9: 'EBADF', 10: 'ECHILD', 11: 'EAGAIN', 12: 'ENOMEM', 13: 'EACCES', 14: 'EFAULT',
  16: 'EBUSY', 17: 'EEXIST', 18: 'EXDEV', 19: 'ENODEV', 20: 'ENOTDIR', 21: 'EISDIR', 22: 'EINVAL', 24: 'EMFILE', 28: 'ENOSPC', 30: 'EROFS', 34: 'ERANGE', 36: 'ENAMETOOLONG', 38: 'ENOSYS', 40: 'ELOOP',
  87: 'EUSERS', 90: 'EMSGSIZE', 92: 'ENOPROTOOPT', 93: 'EPROTONOSUPPORT', 95: 'EOPNOTSUPP', 97: 'EAFNOSUPPORT', 98: 'EADDRINUSE', 99: 'EADDRNOTAVAIL', 100: 'ENETDOWN',
  101: 'ENETUNREACH', 105: 'ENOBUFS', 107: 'ENOTCONN', 110: 'ETIMEDOUT', 111: 'ECONNREFUSED', 113: 'EHOSTUNREACH',
}

/** `EPERM not permitted here; …`, or `errno 71` for one without a name here. */
export function errnoName(errno: number): string {
  const name = names[errno]
  if (name === undefined) return `errno ${errno}`
  return reasons[name] === undefined ? name : `${name} ${reasons[name]}`
}
