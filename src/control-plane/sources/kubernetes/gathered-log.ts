// One line for what befalls many kinds at once: an API server's loss is one event, not twenty.
import type { Logger } from '#lib/log.ts'

export interface Gathered {
  say(level: 'info' | 'warn', message: string, about: { readonly kind: string; readonly code?: string; readonly reason?: string; readonly objects: number }): void
  /** What is gathered is said now. */
  flush(): void
}

const gatherMs = 300

export function gatheredLog(log: Logger): Gathered {
  const held = new Map<string, { readonly level: 'info' | 'warn'; readonly code: string | undefined; readonly reason: string | undefined; readonly kinds: string[]; objects: number }>()
  let timer: NodeJS.Timeout | undefined
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    for (const [key, { level, kinds, code, reason, objects }] of held) log[level]({ kinds, ...(code === undefined ? {} : { code }), ...(reason === undefined ? {} : { reason }), objects }, key.slice(key.indexOf('\0') + 1))
    held.clear()
  }
  return {
    flush,
    say(level, message, { kind, code, reason, objects }) {
      const key = `${code ?? ''}\0${message}`
      const same = held.get(key)
      if (same === undefined) held.set(key, { level, code, reason, kinds: [kind], objects })
      else {
        same.kinds.push(kind)
        same.objects += objects
      }
      timer ??= setTimeout(flush, gatherMs).unref()
    },
  }
}
