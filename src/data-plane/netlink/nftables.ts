// nf_tables: a table as batches of messages. Pure; replace-table.ts sends them.
import { batchBegin, batchEnd } from './channel.ts'
import { attribute, be32, encodedBytes, nested, NLM_F_APPEND, NLM_F_CREATE, text, type Message } from './message.ts'
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
const NFT_MSG_GETCHAIN = 4
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

/** The kernel takes a batch in one write of at most the socket's send buffer, 212,992 bytes by default. */
const batchBytes = 128 * 1024

/** Names of the table that is in force, and of another one in the same family. */
export interface Standing {
  /** undefined: none of the two is in force. */
  readonly inForce: string | undefined
  readonly other: string
}

/** Two tables take turns where one batch does not hold a whole table. */
export const names = (name: string): readonly [string, string] => [name, `${name}-2`]

/**
 * What puts a table in force, whether an earlier one is there or not, and without a moment in which neither is.
 * A table that fits is declared, deleted and declared again in one batch. A larger one is built up in several batches
 * beside the one in force: the last batch hooks its chains in and deletes the other.
 *
 * @param standing what is in force; 'fresh': a namespace that is known to have no such table. Deletion is left out
 * then: the kernel waits tens of milliseconds over one
 * @param limit bytes of one batch
 */
export function tableBatches(table: NftTable, standing: Standing | 'fresh', limit = batchBytes): Message[][] {
  const { family, name, chains } = table
  const replace = (replaced: string): Message[] =>
    standing === 'fresh' ? [declare(family, replaced)] : [declare(family, replaced), remove(family, replaced), declare(family, replaced)]
  const besides = standing !== 'fresh' && standing.inForce !== undefined && standing.inForce !== name ? standing.inForce : undefined
  const whole = [
    ...replace(name),
    ...contents(table, chains),
    ...(besides === undefined ? [] : [remove(family, besides)]),
  ]
  if (bytes(whole) <= limit) return [batched(whole)]
  const next = standing === 'fresh' || standing.inForce === undefined ? name : standing.other
  const staged: NftTable = { ...table, name: next }
  const hooked = chains.filter((c) => c.hook !== undefined)
  const aside = [...chains.filter((c) => c.hook === undefined), ...hooked.map((c) => ({ name: rulesOf(c), rules: c.rules }))]
  const jumps = hooked.map((c): NftChain => ({ ...c, rules: [{ match: [], statements: [{ do: 'jump', chain: rulesOf(c) }] }] }))
  const last = [
    ...contents(staged, jumps),
    ...(standing === 'fresh' || standing.inForce === undefined ? [] : [remove(family, standing.inForce)]),
  ]
  return [...pieces([...replace(next), ...contents(staged, aside)], limit), last].map(batched)
}

const rulesOf = (chain: NftChain): string => `${chain.name}-rules`

function contents({ family, name }: NftTable, chains: readonly NftChain[]): Message[] {
  return [
    ...chains.map((c) => chainMessage(families[family], name, c)),
    ...chains.flatMap((c) => c.rules.map((r, i) => ruleMessage(families[family], name, c.name, r, i))),
  ]
}

function bytes(messages: readonly Message[]): number {
  return messages.reduce((sum, m) => sum + encodedBytes(m), 2 * encodedBytes(batch(batchBegin, '')))
}

function pieces(messages: readonly Message[], limit: number): Message[][] {
  const found: Message[][] = [[]]
  let held = bytes([])
  for (const m of messages) {
    if (held + encodedBytes(m) > limit && found.at(-1)?.length !== 0) {
      found.push([])
      held = bytes([])
    }
    found.at(-1)?.push(m)
    held += encodedBytes(m)
  }
  return found
}

const batched = (messages: readonly Message[]): Message[] => [batch(batchBegin, 'begin'), ...messages, batch(batchEnd, 'end')]

function declare(family: TableFamily, name: string): Message {
  return message(NFT_MSG_NEWTABLE, families[family], NLM_F_CREATE, [text(NFTA_TABLE_NAME, name)], `table ${family} ${name}`)
}

function remove(family: TableFamily, name: string): Message {
  return message(NFT_MSG_DELTABLE, families[family], 0, [text(NFTA_TABLE_NAME, name)], `delete table ${family} ${name}`)
}

export function deletionBatch(family: TableFamily, name: string): Message[] {
  return batched([remove(family, name)])
}

/** Asks for a chain: the kernel answers with ENOENT where there is none. */
export function chainQuery(family: TableFamily, table: string, chain: string): Message {
  const body = [text(NFTA_CHAIN_TABLE, table), text(NFTA_CHAIN_NAME, chain)]
  return message(NFT_MSG_GETCHAIN, families[family], 0, body, `look up chain ${chain} of table ${family} ${table}`)
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
