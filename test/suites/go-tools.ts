// Peers' own suites, built once from the Go module proxy into the cache folder: h2spec, and gRPC's interop client and server.
// Only REQUIRE=suites builds them: it takes minutes. As a program, it does that and no more: so the gate has them ready.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { TestContext } from 'node:test'

interface Tool {
  readonly packages: readonly string[]
  /** h2spec names no versions of what it is made of: here they are. */
  readonly module: string
}

const tools: Readonly<Record<'h2spec' | 'interop', Tool>> = {
  h2spec: {
    packages: ['github.com/summerwind/h2spec/cmd/h2spec'],
    module: `module suites
go 1.26.0
require (
	github.com/fatih/color v1.19.0
	github.com/spf13/cobra v1.10.2
	github.com/summerwind/h2spec v2.2.1+incompatible
	golang.org/x/net v0.62.0
)
`,
  },
  interop: {
    packages: ['google.golang.org/grpc/interop/client', 'google.golang.org/grpc/interop/server'],
    module: `module suites
go 1.26.0
require google.golang.org/grpc v1.85.0
`,
  },
}

export interface GoTools {
  readonly h2spec: string
  readonly interopClient: string
  readonly interopServer: string
}

/** A new name for each set of versions. */
const folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'kith', 'suites-h2spec-2.2.1-grpc-1.85.0')

/** Their paths, or why there are none. */
export function findGoTools(): GoTools | { readonly why: string } {
  const paths = { h2spec: join(folder, 'h2spec'), interopClient: join(folder, 'client'), interopServer: join(folder, 'server') }
  if (Object.values(paths).every((p) => existsSync(p))) return paths
  if (!(process.env['REQUIRE'] ?? '').split(',').includes('suites')) return { why: 'REQUIRE=suites builds them, with Go' }
  const failure = build()
  return failure === undefined ? paths : { why: failure }
}

/** The tools; or undefined, and the test skipped (failed, where they are required). */
export function needsGoTools(t: TestContext): GoTools | undefined {
  const found = findGoTools()
  if (!('why' in found)) return found
  if ((process.env['REQUIRE'] ?? '').split(',').includes('suites')) throw new Error(`the suites are required, and can't be had: ${found.why}`)
  t.skip(`skipped: needs h2spec and gRPC interop (${found.why})`)
  return undefined
}

/** In a place of its own until it is whole: the gate builds beside other steps. */
function build(): string | undefined {
  mkdirSync(dirname(folder), { recursive: true })
  const making = mkdtempSync(`${folder}-`)
  const bin = join(making, 'bin')
  try {
    for (const [name, { packages, module }] of Object.entries(tools)) {
      const cwd = join(making, name)
      mkdirSync(cwd)
      writeFileSync(join(cwd, 'go.mod'), module)
      const env = { ...process.env, GOBIN: bin, GOFLAGS: '-mod=mod', CGO_ENABLED: '0', GOWORK: 'off' }
      const made = spawnSync('go', ['install', '-ldflags=-s -w', ...packages], { cwd, encoding: 'utf8', env })
      if (made.status !== 0) return `go install ${packages.join(' ')} failed: ${made.error?.message ?? made.stderr.slice(-500)}`
    }
    if (!existsSync(folder)) renameSync(bin, folder)
    return undefined
  } finally {
    rmSync(making, { recursive: true, force: true })
  }
}

if (import.meta.main) {
  const found = findGoTools()
  process.stdout.write(`${JSON.stringify(found)}\n`)
  process.exitCode = 'why' in found ? 1 : 0
}
