// nf_tables: a whole table as one batch that replaces the table of that name at once. Pure, but for `replaceTable` and `deleteTable`.
import { batchBegin, batchEnd, NETLINK_NETFILTER, openChannel } from './channel.ts'
import { attribute, be32, nested, NLM_F_APPEND, NLM_F_CREATE, text, type Message } from './message.ts'
import { expressions, type Match, type Statement } from './nft-expressions.ts'

export type TableFamily = 'inet' | 'ip' | 'ip6'

export interface NftRule {
  /** All must hold, in this order. */
  readonly match: readonly Match[]
  /** Carried out in this order; a verdict ends the rule. */
  readonly statements: readonly Statement[]
}

export interface NftChain {
  readonly name: string
  /** Where the chain is hooked in; absent: it is only jumped to. */
  readonly hook?: { readonly type: 'nat' | 'filter'; readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting'; readonly priority: number }
  readonly rules: readonly NftRule[]
}

export interface NftTable {
  readonly family: TableFamily
  readonly name: string
  readonly chains: readonly NftChain[]
}

const families: Record<TableFamily, number> = { inet: 1, ip: 2, ip6: 10 }
const hooks = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 }
const NFNL_SUBSYS_NFTABLES = 10
const NFT_MSG_NEWTABLE = 0
const NFT_MSG_DELTABLE = 2
const NFT_MSG_NEWCHAIN = 3
const NFT_MSG_NEWRULE = 6
const NFTA_TABLE_NAME = 1
const NFTA_CHAIN_TABLE = 1
const NFTA_CHAIN_NAME = 3
const NFTA_CHAIN_HOOK = 4
const NFTA_CHAIN_POLICY = 5
const NFTA_CHAIN_TYPE = 7
const NFTA_HOOK_HOOKNUM = 1
const NFTA_HOOK_PRIORITY = 2
const NFTA_RULE_TABLE = 1
const NFTA_RULE_CHAIN = 2
const NFTA_RULE_EXPRESSIONS = 4
const NF_ACCEPT = 1

/**
 * Declared, deleted and declared again in one transaction: works whether the table is there or not, and never leaves a gap.
 * `fresh`: in a namespace that is known to have no such table the deletion is left out; the kernel waits tens of milliseconds over one.
 */
export function tableBatch(table: NftTable, fresh = false): Message[] {
  const family = families[table.family]
  const name = text(NFTA_TABLE_NAME, table.name)
  const declare = (): Message => message(NFT_MSG_NEWTABLE, family, NLM_F_CREATE, [name], `table ${table.family} ${table.name}`)
  return [
    batch(batchBegin, 'begin'),
    ...(fresh ? [] : [declare(), message(NFT_MSG_DELTABLE, family, 0, [name], `delete table ${table.family} ${table.name}`)]),
    declare(),
    ...table.chains.map((c) => chainMessage(family, table.name, c)),
    ...table.chains.flatMap((c) => c.rules.map((r, i) => ruleMessage(family, table.name, c.name, r, i))),
    batch(batchEnd, 'end'),
  ]
}

export function deletionBatch(family: TableFamily, name: string): Message[] {
  return [batch(batchBegin, 'begin'), message(NFT_MSG_DELTABLE, families[family], 0, [text(NFTA_TABLE_NAME, name)], `delete table ${family} ${name}`), batch(batchEnd, 'end')]
}

function message(type: number, family: number, flags: number, body: readonly Buffer[], what: string): Message {
  return { type: (NFNL_SUBSYS_NFTABLES << 8) | type, flags, body: Buffer.concat([Buffer.from([family, 0, 0, 0]), ...body]), what }
}

/** struct nfgenmsg whose res_id names the subsystem, in network order. */
function batch(type: number, what: string): Message {
  return { type, flags: 0, body: Buffer.from([0, 0, 0, NFNL_SUBSYS_NFTABLES]), what: `batch ${what}` }
}

function chainMessage(family: number, table: string, chain: NftChain): Message {
  const body = [text(NFTA_CHAIN_TABLE, table), text(NFTA_CHAIN_NAME, chain.name)]
  if (chain.hook !== undefined) {
    const { hook, priority, type } = chain.hook
    body.push(nested(NFTA_CHAIN_HOOK, attribute(NFTA_HOOK_HOOKNUM, be32(hooks[hook])), attribute(NFTA_HOOK_PRIORITY, be32(priority))))
    body.push(attribute(NFTA_CHAIN_POLICY, be32(NF_ACCEPT)), text(NFTA_CHAIN_TYPE, type))
  }
  return message(NFT_MSG_NEWCHAIN, family, NLM_F_CREATE, body, `chain ${chain.name}`)
}

function ruleMessage(family: number, table: string, chain: string, rule: NftRule, index: number): Message {
  const body = [text(NFTA_RULE_TABLE, table), text(NFTA_RULE_CHAIN, chain), nested(NFTA_RULE_EXPRESSIONS, ...expressions(rule.match, rule.statements))]
  return message(NFT_MSG_NEWRULE, family, NLM_F_CREATE | NLM_F_APPEND, body, `rule ${index + 1} of chain ${chain}`)
}

/** Puts the table in place in the calling thread's network namespace. @throws SystemCallError; nothing has changed then */
export function replaceTable(table: NftTable, fresh = false): void {
  send(tableBatch(table, fresh))
}

/** @throws SystemCallError ENOENT where there is none */
export function deleteTable(family: TableFamily, name: string): void {
  send(deletionBatch(family, name))
}

function send(messages: readonly Message[]): void {
  const channel = openChannel(NETLINK_NETFILTER)
  try {
    channel.request(messages, 'last')
  } finally {
    channel.close()
  }
}
