// Which names an authority may put into certificates (RFC 5280 4.2.1.10), as Go's crypto/x509 reads it: DNS names and
// the hosts of URIs, the two kinds that this mesh issues.
import { readElement, readElements } from './der.ts'

export interface NameConstraints {
  readonly permitted: Constraints
  readonly excluded: Constraints
  /** It limits other kinds of names too, which Go does not know (directories). */
  readonly hasOther: boolean
}

interface Constraints {
  readonly dns: readonly string[]
  readonly uri: readonly string[]
}

export interface IssuedName {
  readonly type: 'dns' | 'uri'
  readonly value: string
}

const dnsName = 0x82
const uriName = 0x86
/** E-mail and IP address: known to Go, never in what is issued here. */
const unrelated: readonly number[] = [0x81, 0x87]

export function readNameConstraints(value: Buffer): NameConstraints {
  const parts = readElements(readElement(value).content)
  const of = (tag: number): { tag: number; text: string }[] => {
    const part = parts.find((p) => p.tag === tag)
    return part === undefined
      ? []
      : readElements(part.content)
          .map((subtree) => readElement(subtree.content))
          .map((base) => ({ tag: base.tag, text: base.content.toString('latin1') }))
  }
  const [permitted, excluded] = [of(0xa0), of(0xa1)]
  const pick = (all: typeof permitted): Constraints => ({
    dns: all.filter((n) => n.tag === dnsName).map((n) => n.text),
    uri: all.filter((n) => n.tag === uriName).map((n) => n.text),
  })
  return {
    permitted: pick(permitted),
    excluded: pick(excluded),
    hasOther: [...permitted, ...excluded].some((n) => ![dnsName, uriName, ...unrelated].includes(n.tag)),
  }
}

/** Which of the names an authority with these constraints may not give; undefined: it may give all. */
export function forbiddenName(
  { permitted, excluded }: NameConstraints,
  names: readonly IssuedName[],
): string | undefined {
  return names.find(({ type, value }) => {
    const host = type === 'dns' ? value : hostOf(value)
    const [yes, no] = [permitted[type], excluded[type]]
    if (host === undefined) return yes.length > 0 || no.length > 0
    return no.some((c) => covers(c, host, type)) || (yes.length > 0 && !yes.some((c) => covers(c, host, type)))
  })?.value
}

function hostOf(uri: string): string | undefined {
  const host = URL.canParse(uri) ? new URL(uri).host : ''
  return host === '' ? undefined : host
}

/** `example.com` covers itself and (of DNS names) what lies below it; `.example.com` what lies below it. */
function covers(constraint: string, name: string, type: IssuedName['type']): boolean {
  const [limit, host] = [constraint.toLowerCase(), name.toLowerCase().replace(/\.$/, '')]
  if (limit === '') return true
  const [domain, below] = limit.startsWith('.') ? [limit.slice(1), true] : [limit, false]
  // Go's rule for URIs and DNS names alike: a leading dot asks for at least one label more, none allows any number (of
  // a URI's host: none).
  if (below) return host.endsWith(`.${domain}`)
  return host === domain || (type === 'dns' && host.endsWith(`.${domain}`))
}
