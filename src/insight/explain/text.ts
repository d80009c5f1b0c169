// An explanation in plain words, a screen long.
import { styleText } from 'node:util'
import type { Reason } from '#lib/decided.ts'
import { formatRef } from '#lib/problem.ts'
import { rules } from '#api'
import type { EndpointAnswer, Explanation, Observed, ServerSide } from './types.ts'

type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

const headline: Readonly<Record<Explanation['outcome'], string>> = {
  mtls: 'mutual TLS', tls: 'TLS that the mesh originates', plaintext: 'plaintext', blocked: 'BLOCKED', mixed: 'mixed: it depends on the endpoint',
}
const colours = { mtls: 'green', tls: 'green', plaintext: 'yellow', blocked: 'red', mixed: 'yellow' } as const

/** `colour`: true on a terminal. */
export function formatExplanation(e: Explanation, colour = false): string {
  const paint: Paint = colour ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text
  const lines = [`${e.call.from} → ${e.call.to}: ${paint(colours[e.outcome], headline[e.outcome])}`, '']
  if (e.endpoints.length > 0) for (const a of e.endpoints) lines.push(...endpointLines(a, paint), '')
  else lines.push(...sideLines(e, paint))
  if (e.blocked !== null) {
    lines.push('', `${paint('red', 'why')}      ${e.blocked.why}`, `${paint('bold', 'caller')}   ${e.blocked.symptom}`)
    e.blocked.fix.forEach((f, i) => lines.push(`${i === 0 ? paint('bold', 'fix') : i === 1 ? ' or' : '   '}      ${f.replace(/^or /, '')}`))
  }
  if (e.observed !== null) lines.push('', ...observedLines(e.observed, paint))
  for (const p of e.problems) lines.push('', `${paint('yellow', 'note')}     ${p.message} (${formatRef(p.ref)})${p.help === undefined ? '' : `: ${p.help}`}`)
  return lines.join('\n').trimEnd() + '\n'
}

/** The last handshake, and when either side's certificate ends. */
function observedLines(o: Observed, paint: Paint): string[] {
  return [
    `${paint('bold', 'seen')}     ${o.tlsVersion} ${o.cipher}, ${o.time}`, `  client  ${o.client}, certificate until ${o.clientCertificateEnds}`, `  server  ${o.server}, certificate until ${o.serverCertificateEnds}`,
  ]
}

function endpointLines(a: EndpointAnswer, paint: Paint): string[] {
  const place = a.server === null ? a.address : `${a.server.workload} at ${a.address}`
  return [`${paint('bold', 'endpoint')} ${place === '' ? 'none' : place}: ${paint(colours[a.outcome], headline[a.outcome])}`, ...sideLines(a, paint).map((l) => `  ${l}`), ...(a.blocked === null ? [] : [`  why      ${a.blocked.why}`])]
}

function sideLines(e: Pick<EndpointAnswer, 'client' | 'server'>, paint: Paint): string[] {
  const { client, server } = e
  const to = client.destination
  const lines = [
    `${paint('bold', 'client')}   ${client.workload}, ${client.sidecar.value ? `sidecar as ${client.identity}` : 'no sidecar'}`,
    ...(client.sidecar.value ? [] : reasonLines(client.sidecar.because, paint)),
    `route    ${client.route.value.rule}${to === null ? '' : ` → ${to.host}:${to.port}${to.subset === null ? '' : ` subset ${to.subset}`}`}`,
    ...reasonLines(client.route.because.filter((r) => r.rule !== 'route.default'), paint),
  ]
  if (client.tls !== null) lines.push(`sends    ${paint('bold', client.tls.value)}`, ...reasonLines(client.tls.because, paint))
  return [...lines, ...serverLines(server, paint)]
}

function serverLines(server: ServerSide | null, paint: Paint): string[] {
  if (server === null) return []
  const lines = [`${paint('bold', 'server')}   ${server.workload} port ${server.port}, ${server.sidecar.value ? `sidecar as ${server.identity}` : 'no sidecar'}`]
  if (server.mtls === null) return [...lines, ...reasonLines(server.sidecar.because, paint)]
  lines.push(`takes    ${paint('bold', server.mtls.value)}`, ...reasonLines(server.mtls.because, paint))
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
    const meaning = i === 0 && r.source !== 'default' && rules[r.rule] !== undefined ? paint('dim', `  ${rules[r.rule]?.sentence}`) : ''
    const line = `  ${r.effect.padEnd(9)} ${r.rule.padEnd(width)}  ${what}`
    return (r.effect === 'chosen' ? line : paint('dim', line)) + meaning
  })
}
