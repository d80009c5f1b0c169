import assert from 'node:assert/strict'
import { test } from 'node:test'
import { interceptionOf } from './options.ts'
import { formatIptables, formatNft } from '#redirect'
import { interceptionRules } from './rules.ts'

const lines = (text: string): string[] => text.split('\n').map((l) => l.trim()).filter((l) => l !== '')

test('the default set as iptables prints it: Istio’s chains in Istio’s order', () => {
  assert.deepEqual(lines(formatIptables(interceptionRules(), 'ip')), [
    '*nat',
    ':ISTIO_REDIRECT - [0:0]',
    ':ISTIO_IN_REDIRECT - [0:0]',
    ':ISTIO_INBOUND - [0:0]',
    ':ISTIO_OUTPUT - [0:0]',
    '-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001',
    '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006',
    '-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN',
    '-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN',
    '-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN',
    '-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN',
    '-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT',
    '-A ISTIO_OUTPUT -o lo -s 127.0.0.6 -j RETURN',
    '-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT',
    '-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT',
    '-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN',
    '-A ISTIO_OUTPUT -d 127.0.0.1 -j RETURN',
    '-A ISTIO_OUTPUT -p tcp -j ISTIO_REDIRECT',
    '-A PREROUTING -p tcp -j ISTIO_INBOUND',
    '-A OUTPUT -p tcp -j ISTIO_OUTPUT',
    'COMMIT',
  ])
  const six = formatIptables(interceptionRules(), 'ip6')
  assert.ok(six.includes('-o lo -s ::6 -j RETURN') && six.includes('! -d ::1') && !six.includes('127.0.0'))
})

test('marks instead of users, selections, one family', () => {
  const table = interceptionRules({
    exemption: { by: 'mark', mark: 0x539 }, includeInboundPorts: [80], excludeOutboundPorts: [9000], excludeOutboundCidrs: ['10.9.0.0/16', 'fd00::/8'], includeOutboundPorts: [443], includeOutboundCidrs: ['10.96.0.0/16'], families: ['ip'],
  })
  assert.deepEqual(lines(formatNft(table)), [
    'table ip kith',
    'delete table ip kith',
    'table ip kith {',
    'chain istio-redirect {', 'meta l4proto tcp counter redirect to :15001', '}',
    'chain istio-in-redirect {', 'meta l4proto tcp counter redirect to :15006', '}',
    'chain istio-inbound {', 'meta l4proto tcp th dport 80 jump istio-in-redirect', '}',
    'chain istio-output {',
    'meta l4proto tcp th dport 9000 return',
    'oifname "lo" ip saddr 127.0.0.6 return',
    'oifname "lo" ip daddr != 127.0.0.1 meta l4proto tcp th dport != 15008 meta mark 0x539 jump istio-in-redirect',
    'oifname "lo" meta mark != 0x539 return',
    'meta mark 0x539 return',
    'ip daddr 127.0.0.1 return',
    'ip daddr 10.9.0.0/16 return',
    'meta l4proto tcp th dport 443 jump istio-redirect',
    'ip daddr 10.96.0.0/16 jump istio-redirect',
    '}',
    'chain prerouting {', 'type nat hook prerouting priority -100; policy accept;', 'meta l4proto tcp jump istio-inbound', '}',
    'chain output {', 'type nat hook output priority -100; policy accept;', 'meta l4proto tcp jump istio-output', '}',
    '}',
  ])
})

test('an empty inbound selection intercepts nothing inbound', () => {
  const prerouting = interceptionRules({ includeInboundPorts: [] }).chains.find((c) => c.name === 'prerouting')
  assert.deepEqual(prerouting?.rules, [])
})

test('a pod’s annotations', () => {
  const p = 'traffic.sidecar.istio.io/'
  assert.deepEqual(interceptionOf({ [`${p}excludeOutboundPorts`]: '9000, 9001', [`${p}includeInboundPorts`]: '*', [`${p}excludeOutboundIPRanges`]: '10.0.0.0/8,fd00::/8', [`${p}includeOutboundIPRanges`]: '' }), {
    options: { includeInboundPorts: '*', excludeOutboundPorts: [9000, 9001], includeOutboundCidrs: [], excludeOutboundCidrs: ['10.0.0.0/8', 'fd00::/8'] },
    mode: 'REDIRECT', faults: [],
  })
  for (const [name, text] of [['excludeInboundPorts', '80-90'], ['excludeOutboundPorts', '70000'], ['includeOutboundIPRanges', '10.0.0.0/33'], ['excludeOutboundIPRanges', 'example.com']] as const) {
    const { options, faults } = interceptionOf({ [p + name]: text })
    assert.deepEqual([options, faults.map((f) => f.annotation)], [{}, [p + name]])
  }
})
