// Tables of nf_tables in force, in the calling thread's network namespace.
import { NETLINK_NETFILTER, openChannel, type Channel } from './channel.ts'
import { SystemCallError } from './libc.ts'
import { chainQuery, deletionBatch, names, tableBatches, type NftTable, type Standing } from './nftables.ts'

/**
 * Puts the table in force. Its size is not limited: see `tableBatches`.
 *
 * @param fresh the namespace is known to have no such table
 * @throws SystemCallError; what was in force before is in force still
 */
export function replaceTable(table: NftTable, fresh = false): void {
  withChannel((channel) => {
    const batches = tableBatches(table, fresh ? 'fresh' : standing(channel, table))
    try {
      for (const messages of batches) channel.request(messages, 'last')
    } catch (error) {
      if (batches.length > 1) forget(channel, table, fresh)
      throw error
    }
  })
}

/** The table whose hooked chain is there: one that was not finished has none. */
function standing(channel: Channel, { family, name, chains }: NftTable): Standing {
  const [first, second] = names(name)
  const hook = chains.find((c) => c.hook !== undefined)?.name
  const isInForce = (table: string): boolean =>
    hook !== undefined && unlessMissing(() => channel.request([chainQuery(family, table, hook)], 'each'))
  if (isInForce(first)) return { inForce: first, other: second }
  return { inForce: isInForce(second) ? second : undefined, other: first }
}

/** What was built up before the batch that failed. It is in no hook, so it does nothing but take memory. */
function forget(channel: Channel, table: NftTable, fresh: boolean): void {
  const { inForce } = fresh ? { inForce: undefined } : standing(channel, table)
  for (const name of names(table.name)) {
    if (name !== inForce) unlessMissing(() => channel.request(deletionBatch(table.family, name), 'last'))
  }
}

function unlessMissing(ask: () => void): boolean {
  try {
    ask()
    return true
  } catch (error) {
    if (error instanceof SystemCallError && error.errnoName === 'ENOENT') return false
    throw error
  }
}

function withChannel(use: (channel: Channel) => void): void {
  const channel = openChannel(NETLINK_NETFILTER)
  try {
    use(channel)
  } finally {
    channel.close()
  }
}
