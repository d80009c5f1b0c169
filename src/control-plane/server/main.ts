// The control plane as a process: flags in, one JSON line on stdout when it serves.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KithError } from '#lib/errors.ts'
import { createLogger } from '#lib/log.ts'
import { decodeMeshConfig } from '#api'
import { jwksReviewer } from '#ca'
import { readFiles } from '#sources'
import { startControlPlane } from './control-plane.ts'

const { values } = parseArgs({
  options: {
    'config-dir': { type: 'string', multiple: true, default: [] }, 'mesh-config': { type: 'string' }, 'state-dir': { type: 'string' }, listen: { type: 'string', default: '127.0.0.1:15012' }, 'status-port': { type: 'string', default: '15014' },
    'token-keys': { type: 'string' }, 'token-issuer': { type: 'string' }, 'cert-ttl': { type: 'string' }, 'keep-root': { type: 'boolean', default: false }, 'log-level': { type: 'string', default: 'info' },
  },
})
const log = createLogger('control-plane', values['log-level'] as 'info')
const need = (name: 'state-dir' | 'token-keys' | 'token-issuer'): string => {
  const value = values[name]
  if (value === undefined) throw new KithError('FLAG_MISSING', `--${name} is needed`)
  return value
}

try {
  const document = values['mesh-config'] === undefined ? undefined : readFiles([values['mesh-config']]).documents[0]
  const { config, problems } = document === undefined ? { config: {}, problems: [] } : decodeMeshConfig(document.value, document.origin)
  for (const p of problems) log.warn({ problem: p.message, line: p.ref.line }, 'meshConfig has a fault')
  const plane = await startControlPlane({
    config: values['config-dir'], meshConfig: config, stateDir: need('state-dir'), listen: values.listen, statusPort: Number(values['status-port']),
    reviewer: jwksReviewer(JSON.parse(readFileSync(need('token-keys'), 'utf8')) as Parameters<typeof jwksReviewer>[0], need('token-issuer')),
    ...(values['cert-ttl'] === undefined ? {} : { certificateLifetimeMs: Number(values['cert-ttl']) * 1000 }), keepRoot: values['keep-root'], log,
  })
  process.stdout.write(JSON.stringify({ event: 'ready', listen: values.listen.replace(/:\d+$/, `:${plane.port}`), statusPort: plane.statusPort }) + '\n')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void plane.stop().then(() => process.exit(0)))
} catch (error) {
  log.error({ code: error instanceof KithError ? error.code : 'UNEXPECTED', reason: error instanceof Error ? error.message : String(error) }, 'control plane could not start')
  process.exit(1)
}
