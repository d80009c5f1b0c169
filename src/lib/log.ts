// Loggers are scoped and handed in; constant lowercase messages, everything variable a field.
import pino from 'pino'

export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  child(fields: object): Logger
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** JSON lines on stderr by default; `fd` chooses another file descriptor. `scope` names the room. */
export function createLogger(scope: string, level: LogLevel = 'info', fd = 2): Logger {
  return pino(
    { level, base: { scope }, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    pino.destination({ fd, sync: true }),
  ) as unknown as Logger
}

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child() {
    return silentLogger
  },
}
