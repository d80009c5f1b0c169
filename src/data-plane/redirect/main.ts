// The init container: puts the interception rules into the pod's network namespace, prints them, and ends. Doing it again changes nothing.
import { networkInterfaces } from 'node:os'
import { KithError } from '#lib/errors.ts'
import { applyTable, hasIpv6 } from './apply.ts'
import { interceptionRules, readRedirectCommand } from '#interception'
import { formatNft } from './print.ts'

/** The pod's own address, for the check; loopback would not do. */
const podAddress = (): string => Object.values(networkInterfaces()).flat().find((a) => a?.family === 'IPv4' && !a.internal)?.address ?? '127.0.0.1'

try {
  const { options, skipRules, dryRun, validate, validationTimeoutMs, notices } = readRedirectCommand(process.argv.slice(2), hasIpv6() ? ['ip', 'ip6'] : ['ip'])
  for (const notice of notices) process.stderr.write(`${notice}\n`)
  const table = interceptionRules(options)
  if (!skipRules) {
    if (!dryRun) process.stderr.write(`rules applied by ${applyTable(table).by}\n`)
    process.stdout.write(formatNft(table))
  }
  if (validate && !dryRun) {
    await (await import('./validate.ts')).validateRules(options, process.getuid?.() ?? 0, podAddress(), validationTimeoutMs)
    process.stderr.write('the rules hold: a connection came out at the sidecar’s port\n')
  }
} catch (error) {
  const code = error instanceof KithError ? error.code : error instanceof Error && 'errnoName' in error ? String(error.errnoName) : 'UNEXPECTED'
  process.stderr.write(`${JSON.stringify({ level: 'error', code, msg: error instanceof Error ? error.message : String(error) })}\n`)
  process.exitCode = 1
}
