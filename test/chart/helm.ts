// Real Helm: from PATH, else built once from the Go module proxy into the cache folder. Only REQUIRE=helm builds: it takes minutes.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
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
  mkdirSync(folder, { recursive: true })
  const build = spawnSync('go', ['install', `helm.sh/helm/v3/cmd/helm@${version}`], { cwd: folder, encoding: 'utf8', env: { ...process.env, GOBIN: folder, GOFLAGS: '-mod=mod', CGO_ENABLED: '0' } })
  return build.status === 0 ? { path: cached } : { missing: `go install failed: ${build.error?.message ?? build.stderr.slice(-500)}` }
}
