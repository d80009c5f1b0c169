// JSON lines on stderr in a few lines of code: a logging library would cost each sidecar megabytes.
import { writeSync } from 'node:fs'
import type { Logger } from '#lib/log.ts'

const levels = { debug: 10, info: 20, warn: 30, error: 40 } as const

export function jsonLogger(bound: object, least: keyof typeof levels = 'info'): Logger {
  const write = (level: keyof typeof levels) => (fields: object, message: string): void => {
    if (levels[level] < levels[least]) return
    try {
      writeSync(2, JSON.stringify({ level, time: new Date().toISOString(), ...bound, ...fields, msg: message }) + '\n')
    } catch {
      // Nobody reads stderr any more; the proxy goes on.
    }
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), child: (fields) => jsonLogger({ ...bound, ...fields }, least) }
}
