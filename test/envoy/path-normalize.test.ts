// Our normalisation of paths against the stock Envoy's, on drawn targets, for each of meshConfig's pathNormalization. Every difference has its reason here.
// TARGETS=200000 draws more than the gate does; SEED=random draws others.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { normalizePath } from '#engine'
import { pathRules } from '#plan'
import type { Mesh } from '#mesh'
import { Head } from '../../src/data-plane/proxy/http1/head.ts'
import { echoBootstrap, tell } from './fixtures/echo-listeners.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'

const count = Number(process.env['TARGETS'] ?? 2000)
const normalizations = {
  NONE: {}, BASE: { normalizePath: true }, MERGE_SLASHES: { normalizePath: true, mergeSlashes: true },
  DECODE_AND_MERGE_SLASHES: { normalizePath: true, mergeSlashes: true, pathWithEscapedSlashesAction: 'UNESCAPE_AND_FORWARD' },
} as const

const segment = fc.constantFrom(
  'a', 'b', '.', '..', '...', '.a', '..a', 'a..', '.;', '..;', '..;x', '.;x=1', 'a;b', '%2e', '%2E%2e', '.%2e', '%2e%2e;', '..%3b', '%3b', '%2f', '%5C', '%2F..%2f', 'a%2fb', '\\', '..\\', '\\..;\\', '', '', '%', '%2', '%z', '%zz',
  '%00', '%25', '%252e', '%41', '%7e', '%c3%a9', '%e9', '%20', '|', '"', '<>', '^', '`', '{x}', '[x]', "!$&'()*+,;=:@~-_", '#',
)
const target = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 6 }), fc.constantFrom('/', '/', '/', '//', '\\', ''), fc.constantFrom('', '', '', '?', '?x=/../y', '?a=%2f%', '?..;/'))
  .map(([segments, between, query]) => `/${segments.join(between)}${query}`)
const everyCharacter = Array.from({ length: 256 }, (_, c) => [`/x%${c.toString(16).padStart(2, '0')}y`, ...(c > 0x20 ? [`/x${String.fromCharCode(c)}y`] : [])]).flat()

/** What our sidecar makes of a target: its head parser first, then the normalisation. */
function ours(line: string, normalization: keyof typeof normalizations): string {
  const head = new Head()
  if (head.read(Buffer.from(line, 'latin1'), 0, false, 60_000, 100) < 0) return '400'
  const made = normalizePath(head.target(), pathRules({ options: { config: { pathNormalization: { normalization } } } } as Pick<Mesh, 'options'>))
  return made.kind === 'path' ? made.path : '400'
}

/** Why ours is another one; undefined: for no good reason. */
function reason(path: string, mine: string, envoys: string): string | undefined {
  const climbs = /(?:^|\/)\.\.?(?:;[^/]*)?(?=\/|$)/
  const plain = (p: string): string => p.split('?')[0] as string
  if (mine === '400') return plain(path).includes('%00') ? 'a null byte is refused wherever it stands, also in a segment that dots take away' : undefined
  if (climbs.test(plain(envoys))) return climbs.test(plain(mine)) ? undefined : 'Envoy passes on `..;` that comes from an escape or stands behind a backslash: ours resolves it'
  return mine === envoys.replace(/^\/\/(?=\?|$)/, '/') ? 'Envoy keeps a path of nothing but slashes as `//` where it merges them' : undefined
}

test('every target is read as the stock Envoy reads it, or in a stricter way that is named here', async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'kith-paths-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const { bootstrap, ports } = await echoBootstrap(Object.entries(normalizations).map(([name, manager]) => ({ name, manager })))
  const envoy = await startEnvoy({ binary, folder, name: 'paths', bootstrap })
  t.after(() => envoy.stop())
  const drawn = [...everyCharacter, ...new Set(fc.sample(target, { numRuns: count, ...seeded() }))]
  const lines = drawn.map((path) => `GET ${path} HTTP/1.1\r\nhost: h\r\n\r\n`)
  const reasons = new Map<string, number>()
  for (const name of Object.keys(normalizations) as (keyof typeof normalizations)[]) {
    const told = await tell(ports.get(name) as number, lines)
    for (const [i, path] of drawn.entries()) {
      const envoys = told[i]?.status === 200 ? (told[i]?.headers.get('x-seen-path') ?? '') : String(told[i]?.status)
      const mine = ours(lines[i] as string, name)
      if (mine === envoys) continue
      const why = name === 'NONE' ? undefined : reason(path, mine, envoys)
      assert.ok(why !== undefined, `${name} ${JSON.stringify(path)}: ours ${mine}, Envoy ${envoys}`)
      reasons.set(why, (reasons.get(why) ?? 0) + 1)
    }
  }
  t.diagnostic(`${drawn.length} targets × ${ports.size}; ${[...reasons].map(([why, n]) => `${n}: ${why}`).join('; ')}`)
})

/** `fc.sample` does not read the global seed. */
function seeded(): { seed?: number } {
  const seed = fc.readConfigureGlobal()?.seed
  return seed === undefined ? {} : { seed }
}
