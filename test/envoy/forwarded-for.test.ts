// Whose address counts, by X-Forwarded-For: the table that our sidecar is held to, asked of a stock Envoy.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lastForwarded } from '#engine'
import { forwardedCases } from '../data-plane/forwarded-cases.ts'
import { echoBootstrap, tell } from './fixtures/echo-listeners.ts'
import { needsEnvoy } from './fixtures/envoy-binary.ts'
import { startEnvoy } from './fixtures/running-envoy.ts'

test('the last address of X-Forwarded-For, or the peer’s, as the stock Envoy has it', async (t) => {
  const binary = needsEnvoy(t)
  if (binary === undefined) return
  const folder = mkdtempSync(join(tmpdir(), 'kith-forwarded-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const hops = [0, 1]
  const { bootstrap, ports } = await echoBootstrap(hops.map((n) => ({ name: String(n), manager: { useRemoteAddress: false, xffNumTrustedHops: n } })))
  const envoy = await startEnvoy({ binary, folder, name: 'forwarded', bootstrap })
  t.after(() => envoy.stop())
  const heads = forwardedCases.map(([lines]) => `GET / HTTP/1.1\r\nhost: h\r\n${lines.map((l) => `x-forwarded-for: ${l}\r\n`).join('')}\r\n`)
  for (const n of hops) {
    const told = await tell(ports.get(String(n)) as number, heads)
    for (const [i, [lines, want]] of forwardedCases.entries()) {
      const ours = lastForwarded(lines.length === 0 ? undefined : lines.join(','), n)
      if (n === 0) assert.equal(ours, want, JSON.stringify(lines))
      const seen = told[i]?.headers.get('x-seen-remote') ?? ''
      if (ours === undefined) assert.match(seen, /^127\.0\.0\.1:[1-9]/, JSON.stringify([n, lines]))
      else assert.equal(seen, `${ours.includes(':') ? `[${ours}]` : ours}:0`, JSON.stringify([n, lines]))
    }
  }
})
