// Labels and annotations as they should be: what is no text is not there.
import { isRecord } from '#api'

export function strings(raw: unknown): Record<string, string> {
  return isRecord(raw) ? Object.fromEntries(Object.entries(raw).filter((e): e is [string, string] => typeof e[1] === 'string')) : {}
}
