// The sidecar as a process. Its readiness is served before the rest of it is loaded: the kubelet asks early.
import { flushCompileCache } from 'node:module'
import { describeFailure } from '#lib/errors.ts'
import { readEnvironment } from './environment.ts'
import { readFlags } from './flags.ts'
import { jsonLogger } from './json-logger.ts'
import { settingsWithoutEffect } from './not-served.ts'
import { ReadinessGate, readinessPlace, serveReadiness } from './readiness.ts'
import type { Sidecar } from './sidecar.ts'

const { agentLevel, proxyLevel, domain } = readFlags(process.argv.slice(2))
const log = jsonLogger({ scope: 'agent' }, agentLevel)
const proxyLog = jsonLogger({ scope: 'agent', part: 'proxy' }, proxyLevel)
let sidecar: Sidecar | undefined
let ending = false
/** `alone`: nobody needs this sidecar any more. */
const end = (alone?: true): void => {
  if (ending) return
  ending = true
  void (sidecar?.stop(alone) ?? Promise.resolve()).then(() => process.exit(), () => process.exit(1))
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => (ending ? process.exit(1) : end()))
// One request's bug must not end the pod's network: it is logged as what it is, and the proxy goes on.
process.on('uncaughtException', (error) => log.error({ error: error.stack ?? String(error) }, 'unexpected error'))
process.on('unhandledRejection', (error) => log.error({ error: error instanceof Error ? error.stack : String(error) }, 'unexpected rejection'))

try {
  const settings = readEnvironment(process.env, domain)
  for (const setting of settingsWithoutEffect(process.env)) log.warn({ setting }, 'setting has no effect in this sidecar')
  const gate = new ReadinessGate()
  await serveReadiness(readinessPlace(settings.portBase), gate, log)
  const { startSidecar } = await import('./sidecar.ts')
  sidecar = await startSidecar(settings, log, () => end(true), { proxyLog, gate })
  // The next sidecar on this machine starts from compiled code, where NODE_COMPILE_CACHE names a folder.
  flushCompileCache()
} catch (error) {
  const { code, message: reason } = describeFailure(error)
  log.error({ code, reason }, 'sidecar could not start')
  process.exit(1)
}
