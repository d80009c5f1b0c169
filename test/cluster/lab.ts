// The lab: a real Kubernetes on this machine, by the shell scripts in lab/. KITH_LAB names another lab's command.
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const command = process.env['KITH_LAB'] ?? join(import.meta.dirname, 'lab/lab')

/** Its standard output; throws what it said on failure. */
export function lab(...args: readonly string[]): string {
  const run = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26 })
  if (run.status !== 0) throw new Error(`lab ${args.join(' ')}: ${run.stderr.trim()}`)
  return run.stdout
}

/** Names outside the cluster, in /etc/hosts' form; the cluster's DNS reads them within five seconds. */
export function hostNames(lines: string): void {
  const kubeconfig = process.env['KUBECONFIG'] ?? ''
  writeFileSync(join(dirname(kubeconfig), '../etc/dns.hosts'), lines)
}

/** The cluster, brought up if it is not; KUBECONFIG is set for what runs after this. `ours`: it was not up before. `--no-node`: its API server alone is enough. */
export function labUp(...options: readonly '--no-node'[]): { readonly ours: boolean } {
  const ours = spawnSync(command, ['status'], { stdio: 'ignore' }).status !== 0
  process.env['KUBECONFIG'] = /export KUBECONFIG=(.+)/.exec(lab('up', ...options))?.[1] ?? ''
  return { ours }
}

/** undefined: a lab is there to be brought up; else what keeps it from that. */
export function labMissing(): string | undefined {
  const can = spawnSync(command, ['can'], { encoding: 'utf8' })
  if (process.env['KITH_LAB'] !== undefined) return undefined
  if (can.status !== 0) return can.stderr.trim()
  return spawnSync(command, ['built'], { stdio: 'ignore' }).status === 0 ? undefined : 'the lab is not built: test/cluster/lab/lab build'
}
