// Real Helm: from PATH, else built once from the Go module proxy into the cache folder. Only REQUIRE=helm builds: it takes minutes. As a program, it does that and no more: so the gate has it ready.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const version = 'v3.21.4'
const folder = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'kith', `helm-${version}`)

/** Its path, or why there is none. */
export function findHelm(): { readonly path: string } | { readonly missing: string } {
  const cached = join(folder, 'helm')
  if (existsSync(cached)) return { path: cached }
  if (spawnSync('helm', ['version'], { stdio: 'ignore' }).status === 0) return { path: 'helm' }
  if (!(process.env['REQUIRE'] ?? '').split(',').includes('helm')) return { missing: 'REQUIRE=helm builds it' }
  // In a place of its own until it is whole: the gate builds it beside other steps.
  const making = mkdtempSync(`${folder}-`)
  const build = spawnSync('go', ['install', '-ldflags=-s -w', `helm.sh/helm/v3/cmd/helm@${version}`], { cwd: making, encoding: 'utf8', env: { ...process.env, GOBIN: making, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' } })
  if (build.status === 0) {
    mkdirSync(folder, { recursive: true })
    renameSync(join(making, 'helm'), cached)
  }
  rmSync(making, { recursive: true, force: true })
  return build.status === 0 ? { path: cached } : { missing: `go install failed: ${build.error?.message ?? build.stderr.slice(-500)}` }
}

if (import.meta.main) {
  const helm = findHelm()
  process.stdout.write(`${JSON.stringify(helm)}\n`)
  process.exitCode = 'path' in helm ? 0 : 1
}
