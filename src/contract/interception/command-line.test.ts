import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatNft } from '#redirect'
import { readRedirectCommand } from './command-line.ts'
import { interceptionRules } from './rules.ts'

test('what injection renders', () => {
  const { options, skipRules, validate, notices } = readRedirectCommand(['-p', '15001', '-z', '15006', '-u', '1337', '-m', 'REDIRECT', '-i', '*', '-x', '', '-b', '*', '-d', '15090,15021,15020'], ['ip'])
  assert.deepEqual(options, {
    outboundPort: 15001, inboundPort: 15006, exemption: { by: 'owner', uid: 1337, gid: 1337 }, includeInboundPorts: '*', excludeInboundPorts: [15090, 15021, 15020], includeOutboundCidrs: '*', excludeOutboundCidrs: [], families: ['ip'],
  })
  assert.deepEqual([skipRules, validate, notices], [false, false, []])
})

test('lists, interfaces, and the check of a CNI plugin’s rules', () => {
  const { options, skipRules, validate, validationTimeoutMs } = readRedirectCommand(['-b', '', '-i', '10.0.0.0/8', '-q', '443', '-o', '9000', '-c', 'net1', '-k', 'vm0', '-u', '2000', '--run-validation', '--skip-rule-apply', '--probe-timeout', '250ms'], ['ip'])
  assert.deepEqual([skipRules, validate, validationTimeoutMs, options.includeInboundPorts, options.exemption], [true, true, 250, [], { by: 'owner', uid: 2000, gid: 2000 }])
  const rules = formatNft(interceptionRules(options))
  assert.match(rules, /hook prerouting[^}]*iifname "net1" return\n\s*iifname "vm0" ip daddr 10\.0\.0\.0\/8 meta l4proto tcp jump istio-redirect\n\s*iifname "vm0" return\n\s*}/)
  assert.match(rules, /chain istio-output {\n\s*oifname "net1" return\n\s*meta l4proto tcp th dport 9000 return/)
})

test('what can’t be read is refused by its flag; what is done otherwise is said', () => {
  for (const [args, why] of [[['-b', '80,x'], /--istio-inbound-ports "80,x"/], [['-i', '10.0.0.0/99'], /--istio-service-cidr/], [['--unheard-of'], /unheard-of/], [['-u', 'me'], /--proxy-uid/]] as const) {
    assert.throws(() => readRedirectCommand(args, ['ip']), { code: 'FLAG_INVALID', message: why })
  }
  assert.equal(readRedirectCommand(['-m', 'TPROXY', '--redirect-dns'], ['ip']).notices.length, 2)
})
