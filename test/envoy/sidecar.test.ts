// The agent around a stock Envoy: certificates by SDS, configuration by delta ADS over mTLS, both renewed; nothing left behind.
import { spawnSync } from 'node:child_process'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { namespacesRefused } from '../scenario/fixtures/lane.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'

test('a sidecar with Envoy in the proxy’s place is ready, renews, hears of a policy and of another root', (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const refused = namespacesRefused()
  if (refused !== undefined) return t.skip(`skipped: needs namespaces (${refused})`)
  const rootless = process.getuid?.() === 0 ? [] : ['-Ur']
  const program = fileURLToPath(new URL('fixtures/envoy-sidecar.ts', import.meta.url))
  const run = spawnSync('unshare', [...rootless, '-n', '-p', '--fork', '--kill-child', process.execPath, '--disable-warning=ExperimentalWarning', program, binary], { encoding: 'utf8', timeout: 60_000 })
  assert.equal(run.status, 0, run.stderr)
  const seen = JSON.parse(run.stdout.trim().split('\n').at(-1) ?? '') as { listeners: string[]; serials: number; announced: boolean; rootsAtOnce: number; strict: boolean; expiry: boolean; complaints: string[] }
  assert.deepEqual(seen.complaints, [])
  assert.ok(['0.0.0.0_8000', 'prometheus', 'virtualInbound', 'virtualOutbound'].every((l) => seen.listeners.includes(l)), seen.listeners.join(' '))
  assert.deepEqual([seen.announced, seen.rootsAtOnce], [true, 2], 'of another authority it hears at once, and trusts both meanwhile')
  assert.ok(seen.serials >= 3 && seen.strict && seen.expiry)
})
