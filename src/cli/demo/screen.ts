// What the walkthrough prints: steps, the YAML that is applied, the tables that were measured.
import { styleText } from 'node:util'
import type { PodView } from '#local'
import { textOptions } from '../terminal.ts'
import type { Row } from './expected.ts'
import type { DemoStep } from './steps.ts'
import { formatTable, type Cell } from './table.ts'

type Style = Parameters<typeof styleText>[0]
export const paint = (style: Style, text: string): string => styleText(style, text, { stream: process.stdout })

const words = { mtls: 'mTLS', tls: 'TLS', plaintext: 'plaintext', blocked: 'blocked', mixed: 'mixed' } as const
const styles: Readonly<Record<keyof typeof words, Style>> = { mtls: 'green', tls: 'green', plaintext: 'yellow', blocked: 'red', mixed: 'yellow' }

export function stepTitle(number: number, step: DemoStep): string {
  return `\n${paint('bold', `${number}. ${step.title}`)}\n${wrap(step.shows)}\n`
}

/** The file's own text, behind a rule, so that it can be told from output. */
export function yamlBlock(action: 'apply' | 'remove', file: string, text: string): string {
  const head = `  ${action === 'apply' ? 'kith apply -f' : 'kith delete -f'} ${file}`
  if (action === 'remove') return `${paint('cyan', head)}\n`
  return `${paint('cyan', head)}\n${text.trimEnd().split('\n').map((l) => paint('dim', `  │ ${l}`)).join('\n')}\n`
}

export function callTable(rows: readonly Row[]): string {
  const header = ['from', 'to', 'kith explain said', 'measured', 'what the server received']
  const cells = rows.map((r): Cell[] => [
    { text: r.call.from }, { text: r.call.to.replace('http://', '') }, { text: words[r.expected.outcome] },
    { text: words[r.measured.outcome] + (r.differences.length > 0 ? ' ✗' : ' ✓'), style: r.differences.length > 0 ? ['red', 'bold'] : styles[r.measured.outcome] }, { text: r.measured.proof, style: 'dim' },
  ])
  const wrong = rows.flatMap((r) => r.differences.map((d) => paint('red', `  ✗ ${r.call.from} → ${r.call.to}: ${d}`)))
  return [formatTable(header, cells), ...wrong].join('\n') + '\n'
}

export function podTable(pods: readonly PodView[]): string {
  const rows = pods.map((p): Cell[] => [{ text: p.namespace }, { text: p.name }, { text: readyText(p), ...(p.ready ? {} : { style: 'red' as const }) }, { text: p.status }, { text: String(p.restarts) }, { text: p.ip }])
  return formatTable(['NAMESPACE', 'NAME', 'READY', 'STATUS', 'RESTARTS', 'IP'], rows) + '\n'
}

/** `2/2`, as kubectl writes it. */
export function readyText(p: PodView): string {
  return `${p.containers.filter((c) => c.ready).length}/${p.containers.length}`
}

export function tryNext(commands: readonly string[]): string {
  return commands.length === 0 ? '' : `${paint('dim', '  try:')} ${commands.map((c) => paint('cyan', c)).join(paint('dim', '\n       '))}\n`
}

function wrap(text: string, width = Math.min(100, textOptions().width ?? 100)): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const last = lines.at(-1) as string
    if (last !== '' && last.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = last === '' ? word : `${last} ${word}`
  }
  return lines.join('\n')
}
