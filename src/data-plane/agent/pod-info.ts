// What a pod is told in files and in strings of Kubernetes' and Go's make: the downward API's maps, durations, addresses. Pure.
import { isIP } from 'node:net'

/** `key="value"` lines, values quoted as Go quotes them. A line that can't be read is left out. */
export function parseDownwardMap(text: string): Readonly<Record<string, string>> {
  const entries = text.split('\n').flatMap((line): [string, string][] => {
    const at = line.indexOf('=')
    if (at < 1) return []
    const value = unquote(line.slice(at + 1))
    return value === undefined ? [] : [[line.slice(0, at), value]]
  })
  return Object.fromEntries(entries)
}

/** Go's %q is JSON but for \a, \v, \x.. and \U........ */
function unquote(text: string): string | undefined {
  const json = text.replace(/\\(?:a|v|x([0-9a-f]{2})|U([0-9a-f]{8})|[^xU])/g, (all, byte?: string, rune?: string) => {
    if (byte !== undefined) return `\\u00${byte}`
    if (rune !== undefined) return JSON.stringify(String.fromCodePoint(parseInt(rune, 16))).slice(1, -1)
    return all === '\\a' ? '\\u0007' : all === '\\v' ? '\\u000b' : all
  })
  try {
    const value: unknown = JSON.parse(json)
    return typeof value === 'string' ? value : undefined
  } catch {
    return undefined
  }
}

const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }

/** `24h0m0s`, `1.5s`, `250ms`; undefined: no duration. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined
  return [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce((sum, [, n, unit]) => sum + Number(n) * unitMs[unit as keyof typeof unitMs], 0)
}

/** The host of `istiod.istio-system.svc:15012`; undefined where it is an address, which no certificate names. */
export function hostName(address: string): string | undefined {
  const host = address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')
  return host === '' || isIP(host) !== 0 ? undefined : host
}
