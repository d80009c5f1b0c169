// Plain columns: as wide as their widest cell, coloured only where the terminal shows colours.
import { styleText } from 'node:util'

export interface Cell {
  readonly text: string
  readonly style?: Parameters<typeof styleText>[0]
}

/** Lines of a table; every row has as many cells as the header. */
export function formatTable(header: readonly string[], rows: readonly (readonly Cell[])[], indent = '  '): string {
  const widths = header.map((h, i) => Math.max(h.length, ...rows.map((r) => (r[i] as Cell).text.length)))
  const line = (cells: readonly Cell[]): string =>
    (indent + cells.map((c, i) => paint(c, i === cells.length - 1 ? c.text : c.text.padEnd(widths[i] as number))).join('  ')).trimEnd()
  return [line(header.map((text) => ({ text, style: 'dim' }))), ...rows.map(line)].join('\n')
}

export function paint(cell: { readonly style?: Parameters<typeof styleText>[0] }, text: string): string {
  return cell.style === undefined ? text : styleText(cell.style, text, { stream: process.stdout })
}
