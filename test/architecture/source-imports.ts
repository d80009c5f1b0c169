// What each source file imports, and whether as values or as types alone.
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'

export interface Import {
  /** As written: `#plan`, `./mtls.ts`, `node:fs`. */
  readonly written: string
  /** Path from the project's folder; undefined: a package, or an alias that package.json lacks. */
  readonly target: string | undefined
  /** `import type`, or each name of it is marked `type`: gone at run time. */
  readonly typeOnly: boolean
}

const statement =
  /^(import|export)\s+(type\s+)?([^'"]*?)\s*(?:from\s*)?['"]([^'"]+)['"]|\b(import)\(\s*['"]([^'"]+)['"]\s*\)/gm

const aliases = Object.entries(
  (JSON.parse(readFileSync('package.json', 'utf8')) as { readonly imports: Readonly<Record<string, string>> }).imports,
)

export const sources: readonly string[] = globSync('src/**/*.ts').sort()

export function importsOf(file: string): Import[] {
  return [...readFileSync(file, 'utf8').matchAll(statement)].flatMap((match): Import[] => {
    const [, verb, marked, names = '', from, dynamic, loaded] = match
    // `export const x = '…'` is no import.
    if (verb === 'export' && !/^(\*|\{)/.test(names.trim())) return []
    const written = (from ?? loaded) as string
    const listed = /^\{([^]*)\}$/.exec(names.trim())?.[1]?.split(',').filter((n) => n.trim() !== '')
    const typeOnly =
      dynamic === undefined && (marked !== undefined || (listed?.length !== 0 && listed?.every((n) => /^\s*type\s/.test(n)) === true))
    return [{ written, target: targetOf(file, written), typeOnly }]
  })
}

function targetOf(file: string, written: string): string | undefined {
  if (written.startsWith('.')) return normalize(join(dirname(file), written))
  for (const [alias, path] of aliases) {
    if (alias === written) return normalize(path)
    const stem = alias.slice(0, -1)
    if (alias.endsWith('/*') && written.startsWith(stem)) return normalize(path.replace('*', written.slice(stem.length)))
  }
  return undefined
}

/** Sets of nodes that reach one another (Tarjan), each sorted; single nodes are left out. */
export function cycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>()
  const low = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const visit = (node: string): void => {
    index.set(node, index.size)
    low.set(node, index.get(node) as number)
    stack.push(node)
    for (const next of graph.get(node) ?? []) {
      if (!index.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) as number, low.get(next) as number))
    }
    if (low.get(node) !== index.get(node)) return
    const group = stack.splice(stack.indexOf(node))
    if (group.length > 1) found.push(group.sort())
  }
  for (const node of graph.keys()) if (!index.has(node)) visit(node)
  return found
}
