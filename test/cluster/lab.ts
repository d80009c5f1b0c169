// The lab: a real Kubernetes on this machine, by the shell scripts in lab/. KITH_LAB names another lab's command.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const command = process.env['KITH_LAB'] ?? join(import.meta.dirname, 'lab/lab')

/** Its standard output; throws what it said on failure. */
export function lab(...args: readonly string[]): string {
  const run = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (run.status !== 0) throw new Error(`lab ${args.join(' ')}: ${run.stderr.trim()}`)
  return run.stdout
}
