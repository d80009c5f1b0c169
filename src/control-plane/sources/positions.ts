// Events of one document → where each field stands: `spec.http[0].match` → offset of its key (of the item, in lists).
import { getScalarValue, type Event } from 'js-yaml'

const sequence = 2
const mapping = 3
const scalar = 4
const pop = 6

export function fieldPositions(events: readonly Event[], source: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  let at = 1
  const offsetOf = (e: Event): number => ('valueStart' in e ? e.valueStart - (e.style === 2 || e.style === 3 ? 1 : 0) : 'start' in e ? e.start : 'anchorStart' in e ? e.anchorStart - 1 : 0)

  function walk(path: string): void {
    const event = events[at++]
    if (event === undefined) return
    if (event.type === sequence) {
      for (let i = 0; at < events.length && (events[at] as Event).type !== pop; i++) {
        const item = `${path}[${i}]`
        found.set(item, offsetOf(events[at] as Event))
        walk(item)
      }
      at++
    } else if (event.type === mapping) {
      while (at < events.length && (events[at] as Event).type !== pop) {
        const key = events[at] as Event
        if (key.type === scalar) {
          at++
          const name = getScalarValue(source, key)
          const field = path === '' ? name : `${path}.${name}`
          found.set(field, offsetOf(key))
          walk(field)
        } else {
          walk(`${path}.?`)
          walk(`${path}.?`)
        }
      }
      at++
    }
  }
  const first = events[1]
  if (first !== undefined) found.set('', offsetOf(first))
  walk('')
  return found
}
