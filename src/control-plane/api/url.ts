// Schemes of URLs as Go's net/url reads them, which WHATWG's parser mends or refuses otherwise. Istio: pkg/config/security, ParseJwksURI.

/** The scheme in small letters; '' where there is none; undefined where the text is no URL. */
export function urlScheme(text: string): string | undefined {
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\u007f]/.test(text)) return undefined
  const m = /^([a-z][a-z0-9+.-]*):(.*)$/i.exec(text)
  const scheme = m?.[1]?.toLowerCase() ?? ''
  const rest = (m?.[2] ?? text).split('#')[0] as string
  // `a b:c` and `::1` look like a scheme gone wrong.
  if (m === null && /^[^/?]*:/.test(rest)) return undefined
  if (/%(?![0-9a-f]{2})/i.test(rest)) return undefined
  if (!rest.startsWith('//')) return scheme
  const authority = (/^\/\/([^/?]*)/.exec(rest)?.[1] ?? '').replace(/^.*@/, '')
  return /^(?:\[[0-9a-f:.%a-z]*\]|[^[\]\s\\^`{}|:]*)(?::\d*)?$/i.test(authority) ? scheme : undefined
}
