// A small Go program that judges chains, built once into the cache folder from verifier/main.go. REQUIRE=go turns its
// absence into a failure instead of a skip.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface Judged {
  readonly name: string
  /** PEM, leaf first. */
  readonly chain: string
  readonly roots: string
  /** Whom the certificate must name. Default: nobody. */
  readonly dns?: string
  readonly nowMs: number
}

export interface AuthorityWish {
  readonly name: string
  readonly organization?: string
  readonly commonName: string
  readonly key: 'rsa' | 'ecdsa' | 'ed25519'
}

export interface GoAuthority {
  readonly name: string
  readonly cert: string
  readonly key: string
  readonly root: string
}

const source = join(import.meta.dirname, 'verifier/main.go')
const folder = join(
  process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'),
  'kith',
  `go-verifier-${createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 12)}`,
)

/** Its path, or why there is none. */
export function findGoVerifier(): { readonly path: string } | { readonly missing: string } {
  const path = join(folder, 'verifier')
  if (existsSync(path)) return { path }
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0) return { missing: 'Go' }
  mkdirSync(folder, { recursive: true })
  const making = `${path}.${process.pid}`
  const build = spawnSync('go', ['build', '-o', making, source], {
    encoding: 'utf8',
    env: { ...process.env, CGO_ENABLED: '0' },
  })
  if (build.status !== 0) return { missing: `Go (go build failed: ${build.stderr.slice(-500)})` }
  renameSync(making, path)
  return { path }
}

/** Each chain's fault by its name; '' where there is none. */
export function judge(path: string, chains: readonly Judged[]): ReadonlyMap<string, string> {
  return new Map(Object.entries(run(path, { verify: chains }).verdicts))
}

export function makeByGo(path: string, wishes: readonly AuthorityWish[]): readonly GoAuthority[] {
  return run(path, { make: wishes }).made
}

function run(
  path: string,
  request: object,
): { readonly verdicts: Record<string, string>; readonly made: readonly GoAuthority[] } {
  const { status, stdout, stderr } = spawnSync(path, {
    input: JSON.stringify(request),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(`the verifier failed: ${stderr}`)
  return JSON.parse(stdout) as ReturnType<typeof run>
}
