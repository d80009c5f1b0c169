// Puts a rule set into the calling thread's network namespace: by netlink, and where the kernel has no nf_tables, by iptables.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { KithError } from '#lib/errors.ts'
import { replaceTable, SystemCallError, type NftTable } from '#netlink'
import { formatIptables } from './print.ts'

/** What a kernel without nf_tables (or without its inet family) answers. */
const notThere = new Set(['EPROTONOSUPPORT', 'EOPNOTSUPP', 'EAFNOSUPPORT'])

export interface Applied {
  readonly by: 'nf_tables' | 'iptables'
}

/** True where this kernel has IPv6. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6')
}

/** Replaces what an earlier call put there; `fresh`: there was none. @throws SystemCallError; KithError INTERCEPTION_UNAVAILABLE where neither way exists */
export function applyTable(table: NftTable, fresh = false): Applied {
  try {
    replaceTable(table, fresh)
    return { by: 'nf_tables' }
  } catch (error) {
    if (!(error instanceof SystemCallError) || !notThere.has(error.errnoName)) throw error
    for (const family of table.family === 'inet' ? (['ip', 'ip6'] as const) : [table.family]) restore(table, family, error)
    return { by: 'iptables' }
  }
}

function restore(table: NftTable, family: 'ip' | 'ip6', cause: SystemCallError): void {
  const program = family === 'ip' ? 'iptables-restore' : 'ip6tables-restore'
  const run = spawnSync(program, ['--noflush'], { input: formatIptables(table, family), encoding: 'utf8' })
  if (run.error === undefined && run.status === 0) return
  const why = run.error === undefined ? run.stderr.trim() : `${program} is not installed`
  throw new KithError('INTERCEPTION_UNAVAILABLE', `this kernel has no nf_tables (${cause.message}), and iptables did not help: ${why}`, { cause })
}
