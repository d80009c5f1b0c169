// An explanation in plain words, a screen long.
import { stripVTControlCharacters, styleText } from 'node:util'
import type { Reason } from '#lib/decided.ts'
import { formatRef } from '#lib/problem.ts'
import { rules } from '#api'
import type { ClientSide, EndpointAnswer, Explanation, NotApplied, Observed, RouteTaken, ServerSide, Spread } from './types.ts'

type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

const headline: Readonly<Record<Explanation['outcome'], string>> = {
  mtls: 'mutual TLS', tls: 'TLS that the caller’s sidecar originates', plaintext: 'plaintext', blocked: 'BLOCKED', mixed: 'mixed: it depends on the endpoint',
}
/** Who makes the TLS: the caller's sidecar, or the application itself. */
function headlineOf({ outcome, client }: Pick<EndpointAnswer | Explanation, 'outcome' | 'client'>, to: string): string {
  if (outcome === 'plaintext' && to.startsWith('https://')) return 'the application’s own TLS, passed on as it is'
  return outcome === 'tls' && client.tls?.value === 'DISABLE' ? 'the application’s own TLS, which the server’s sidecar ends' : headline[outcome]
}

const colours = { mtls: 'green', tls: 'green', plaintext: 'yellow', blocked: 'red', mixed: 'yellow' } as const

export interface TextOptions {
  /** true on a terminal. */
  readonly colour?: boolean
  /** Columns; lines that are longer go on below. Default: as long as they are. */
  readonly width?: number
}

const painter = ({ colour }: TextOptions): Paint => (colour === true ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text)

export function formatExplanation(e: Explanation, options: TextOptions = {}): string {
  const paint = painter(options)
  const lines = [`${e.call.from} → ${e.call.to}: ${paint(colours[e.outcome], headlineOf(e, e.call.to))}`, '']
  if (e.endpoints.length > 0) lines.push(...endpointsLines(e, paint))
  else lines.push(...sideLines(e, paint))
  lines.push(...spreadLines(e.spread, paint))
  if (e.provided !== null && e.endpoints.length === 0) lines.push(`${paint('yellow', 'needs')}    ${e.provided}`)
  if (e.blocked !== null) {
    lines.push('', `${paint('red', 'why')}      ${e.blocked.why}`)
    for (const other of e.blocked.instead) lines.push(`  instead  ${formatRef(other.source)}: ${other.why}`)
    lines.push(`${paint('bold', 'caller')}   ${e.blocked.symptom}`)
    e.blocked.fix.forEach((f, i) => lines.push(`${i === 0 ? paint('bold', 'fix') : i === 1 ? ' or' : '   '}      ${f.replace(/^or /, '')}`))
  }
  if (e.observed !== null) lines.push('', ...observedLines(e.observed, paint))
  for (const hint of e.hints) lines.push('', `${paint('yellow', 'hint')}     ${hint}`)
  for (const p of e.problems) lines.push('', `${paint('yellow', 'note')}     ${p.message} (${formatRef(p.ref)})${p.help === undefined ? '' : `: ${p.help}`}`)
  return folded(lines, options) + '\n'
}

const mostNotApplied = 12

/** The rules that had no say, each with the clause that ruled it out. */
export function formatNotApplied(rules: readonly NotApplied[], options: TextOptions = {}): string {
  const paint = painter(options)
  if (rules.length === 0) return 'not applied: nothing; no other rule speaks of this host or of this server\n'
  const left = rules.length - mostNotApplied
  const lines = rules.slice(0, mostNotApplied).flatMap(({ source, why }) => [`  ${formatRef(source)}`, `      ${paint('dim', why)}`])
  return folded([paint('bold', 'not applied'), ...lines, ...(left > 0 ? [`  … and ${left} more; -o json has all`] : [])], options) + '\n'
}

/** Lines longer than the terminal go on below their text, not below their label. */
function folded(lines: readonly string[], { width = Infinity }: TextOptions): string {
  const length = (text: string): number => stripVTControlCharacters(text).length
  const fold = (line: string): string[] => {
    if (length(line) <= width) return [line]
    const plain = stripVTControlCharacters(line)
    const label = /^\s*(?:chosen|overruled|ignored|why|needs|caller|fix|or|instead|hint|note|spread|client|server|route|sends|takes|token|access|seen|endpoint)\s+/.exec(plain)?.[0].length
    const indent = ' '.repeat(Math.min(label ?? (/^\s*/.exec(plain)?.[0].length ?? 0) + 2, Math.floor(width / 3)))
    const out: string[] = []
    let row = ''
    for (const word of line.split(/(?<=\S) /)) {
      if (row !== '' && length(row) + 1 + length(word) > width) {
        out.push(row)
        row = indent + word.trimStart()
      } else row = row === '' ? word : `${row} ${word}`
    }
    return [...out, row]
  }
  return lines.flatMap(fold).join('\n').trimEnd()
}

/** Endpoints of which the same is to be said stand together. */
function endpointsLines(e: Explanation, paint: Paint): string[] {
  const alike = new Map<string, { readonly first: EndpointAnswer; readonly lines: readonly string[]; readonly addresses: Set<string> }>()
  for (const a of e.endpoints) {
    const lines = endpointLines(a, paint)
    const key = JSON.stringify([a.outcome, a.server?.workload, lines])
    const found = alike.get(key) ?? { first: a, lines, addresses: new Set() }
    alike.set(key, { ...found, addresses: found.addresses.add(a.address) })
  }
  return [...alike.values()].flatMap(({ first, lines, addresses }) => {
    const known = [...addresses]
    const at = known.length > 3 ? `${known.slice(0, 3).join(', ')} and ${known.length - 3} more` : known.join(', ')
    const place = first.server === null ? at : `${first.server.workload} at ${at}`
    return [`${paint('bold', 'endpoint')} ${place === '' ? 'none' : place}: ${paint(colours[first.outcome], headlineOf(first, e.call.to))}`, ...lines, '']
  })
}

/** Where calls go in the long run, when that is more than one kind of place. */
function spreadLines(spread: readonly Spread[], paint: Paint): string[] {
  const places = new Map<string, Spread[]>()
  const ports = new Map<string, Set<string>>()
  for (const s of spread) {
    const who = s.workload ?? s.address
    const port = s.workload === null ? '' : portOf(s.address)
    ports.set(who, (ports.get(who) ?? new Set()).add(port))
    const key = JSON.stringify([who, port, s.priority, s.locality, s.share > 0])
    places.set(key, [...(places.get(key) ?? []), s])
  }
  if (places.size < 2) return []
  return [...places.values()].map((alike, i) => {
    const one = alike[0] as Spread
    const who = one.workload ?? one.address
    const share = alike.reduce((sum, s) => sum + s.share, 0)
    const at = (ports.get(who)?.size ?? 1) > 1 ? ` port ${portOf(one.address)}` : ''
    const how = share === 0 ? `stands by, priority ${one.priority}` : `${Math.round(share * 1000) / 10} % of calls${one.priority === 0 ? '' : `, priority ${one.priority}`}`
    return `${i === 0 ? paint('bold', 'spread') : '      '}   ${who}${at}${alike.length > 1 ? `, ${alike.length} endpoints` : ''}${one.locality === '' ? '' : ` in ${one.locality}`}: ${how}`
  })
}

const portOf = (address: string): string => address.slice(address.lastIndexOf(':') + 1)

/** The last handshake, and when either side's certificate ends. */
function observedLines(o: Observed, paint: Paint): string[] {
  return [
    `${paint('bold', 'seen')}     ${o.tlsVersion} ${o.cipher}, ${o.time}`, `  client  ${o.client}, certificate until ${o.clientCertificateEnds}`, `  server  ${o.server}, certificate until ${o.serverCertificateEnds}`,
  ]
}

function endpointLines(a: EndpointAnswer, paint: Paint): string[] {
  return [...sideLines(a, paint).map((l) => `  ${l}`), ...(a.provided === null ? [] : [`  needs    ${a.provided}`]), ...(a.blocked === null ? [] : [`  why      ${a.blocked.why}`])]
}

function sideLines(e: Pick<EndpointAnswer, 'client' | 'server'>, paint: Paint): string[] {
  const { client, server } = e
  const to = client.destination
  const lines = [
    `${paint('bold', 'client')}   ${client.workload}, ${clientSidecar(client)}`,
    ...(client.redirected?.value === false ? reasonLines(client.redirected.because, paint) : client.sidecar.value ? [] : reasonLines(client.sidecar.because, paint)),
    `route    ${client.route.value.rule}${to === null ? '' : ` → ${to.host}:${to.port}${to.subset === null ? '' : ` subset ${to.subset}`}`}${arrivingAs(client.route.value)}`,
    ...reasonLines(client.route.because.filter((r) => r.rule !== 'route.default' && r.rule !== 'tls.no-sidecar' && r.rule !== 'tls.past-sidecar'), paint),
  ]
  if (client.tls !== null) lines.push(`sends    ${paint('bold', client.tls.value)}`, ...reasonLines(client.tls.because, paint))
  return [...lines, ...serverLines(server, paint)]
}

/** What the route makes of path and Host, and what it does to calls on purpose. */
function arrivingAs({ path, authority, fault }: RouteTaken): string {
  const faults = [...(fault?.delay === undefined ? [] : [`${fault.delay.percent} % of calls wait ${fault.delay.ms} ms`]), ...(fault?.abort === undefined ? [] : [`${fault.abort.percent} % of calls are answered with ${fault.abort.status}`])]
  return rewrittenTo(path, authority) + (faults.length === 0 ? '' : ` (fault injection: ${faults.join(', ')})`)
}

function rewrittenTo(path: string | undefined, authority: string | undefined): string {
  return path === undefined && authority === undefined ? '' : `, as ${[...(path === undefined ? [] : [path]), ...(authority === undefined ? [] : [`Host ${authority}`])].join(' with ')}`
}

function clientSidecar({ sidecar, redirected, identity }: ClientSide): string {
  return !sidecar.value ? 'no sidecar' : redirected?.value === false ? 'not redirected to its sidecar' : `sidecar as ${identity}`
}

function serverSidecar({ sidecar, redirected, identity }: ServerSide): string {
  return !sidecar.value ? 'no sidecar' : redirected?.value === false ? 'not redirected to its sidecar' : `sidecar as ${identity}`
}

function serverLines(server: ServerSide | null, paint: Paint): string[] {
  if (server === null) return []
  const lines = [`${paint('bold', 'server')}   ${server.workload} port ${server.port}, ${serverSidecar(server)}`]
  if (server.mtls === null) return [...lines, ...reasonLines((server.redirected ?? server.sidecar).because, paint)]
  lines.push(`takes    ${paint('bold', server.mtls.value)}`, ...reasonLines(server.mtls.because, paint))
  if (server.requestPrincipal !== null) lines.push(`token    ${server.requestPrincipal}`)
  const access = server.authorization
  // Where nobody limits access there is nothing to say.
  if (access === null || access.because[0]?.rule === 'authorization.default') return lines
  return [...lines, `access   ${paint('bold', access.value)}`, ...reasonLines(access.because, paint)]
}

/** `  chosen    mtls.port  PeerAuthentication foo/httpbin spec.portLevelMtls.8080 (policies.yaml:31)` */
export function reasonLines(because: readonly Reason[], paint: Paint = (_s, t) => t): string[] {
  const width = Math.max(0, ...because.map((r) => r.rule.length))
  return because.map((r, i) => {
    const what = r.source === 'default' ? (rules[r.rule]?.sentence ?? 'built-in') : formatRef(r.source)
    const meaning = (i === 0 || r.effect === 'ignored') && r.source !== 'default' && rules[r.rule] !== undefined ? paint('dim', `  ${rules[r.rule]?.sentence}`) : ''
    const line = `  ${r.effect.padEnd(9)} ${r.rule.padEnd(width)}  ${what}`
    return (r.effect === 'chosen' ? line : paint('dim', line)) + meaning
  })
}
