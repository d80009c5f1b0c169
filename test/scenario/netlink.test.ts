// Links, addresses, routes, nf_tables and original destinations against the real kernel, in a namespace of its own.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { hasNamespaces } from './fixtures/lane.ts'

const rulesetAsMeant = `table inet kith {
  chain redirect {
    meta l4proto tcp counter redirect to :15001
  }
  chain output {
    type nat hook output priority -100; policy accept;
    meta mark 0x00000539 return
    oifname "lo" meta skuid != 1337 return
    ip daddr 10.9.0.0/16 return
    ip6 daddr fd00::/8 tcp dport 81 return
    tcp dport 5300 numgen random mod 2 0 dnat ip to 10.244.0.3:53
    meta l4proto tcp jump redirect
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 10.244.0.2 ip daddr 10.244.0.2 masquerade
  }
}`

test('a bridge, two pods and their rules', (t) => {
  if (!hasNamespaces(t)) return
  const rootless = process.getuid?.() === 0 && process.env['KITH_TEST_ROOTLESS'] === undefined ? [] : ['-Ur']
  const script = `mount -t tmpfs none /run; exec "$0" --disable-warning=ExperimentalWarning test/scenario/fixtures/netlink-live.ts`
  const out = execFileSync('unshare', [...rootless, '-nm', '-p', '--mount-proc', '--fork', '--kill-child', 'sh', '-c', script, process.execPath], { encoding: 'utf8' })
  const { ruleset, ...got } = JSON.parse(out) as Record<string, unknown>
  assert.deepEqual(got, {
    redirected: { address: '10.244.0.3', port: 80 },
    redirected6: { address: 'fd00:244::3', port: 80 },
    services: ['service', 'service', 'service', 'service'],
    marked: 'direct ::ffff:10.244.0.2',
    notRedirected: 'direct ::ffff:10.244.0.3',
    child: { ownHosts: true, ownLink: true, cameBack: true },
    error: 'new bridge kith0: EEXIST it exists already',
  })
  if (ruleset === null || spawnSync('nft', ['--version']).error !== undefined) return t.diagnostic('the rules were not read back: needs nft')
  const plain = (s: string): string[] => s.replace(/ packets \d+ bytes \d+/g, '').split('\n').map((l) => l.trim()).filter((l) => l !== '')
  assert.deepEqual(plain(ruleset as string), plain(rulesetAsMeant))
})
