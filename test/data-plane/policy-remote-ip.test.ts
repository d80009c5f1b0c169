// remoteIpBlocks go by X-Forwarded-For's last address, ipBlocks by the connection: through our own sidecar, its log, and as explain says it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explain } from '#insight'
import { forwardedCases } from './forwarded-cases.ts'
import { policy, policyMesh, startPolicyPod } from './policy-pod.ts'

const from = (action: string, source: object): object => policy({ action, rules: [{ from: [{ source }] }] })
const head = (lines: readonly string[]): string => `GET / HTTP/1.1\r\nhost: app.foo\r\n${lines.map((l) => `x-forwarded-for: ${l}\r\n`).join('')}\r\n`

test('a policy on remote addresses reads X-Forwarded-For as Envoy does; one on addresses of the connection does not', async (t) => {
  for (const [object, lines, status] of [
    [from('DENY', { remoteIpBlocks: ['1.2.3.0/24'] }), ['9.9.9.9, 1.2.3.4'], 403], [from('DENY', { remoteIpBlocks: ['1.2.3.0/24'] }), ['1.2.3.4, 9.9.9.9'], 200], [from('DENY', { remoteIpBlocks: ['1.2.3.0/24'] }), [], 200],
    [from('DENY', { remoteIpBlocks: ['1.2.3.0/24'] }), ['9.9.9.9', '1.2.3.4'], 403], [from('DENY', { remoteIpBlocks: ['127.0.0.1'] }), ['unknown'], 403], [from('DENY', { remoteIpBlocks: ['127.0.0.1'] }), ['1.2.3.4'], 200],
    [from('ALLOW', { remoteIpBlocks: ['1.2.3.0/24'] }), ['1.2.3.4'], 200], [from('ALLOW', { remoteIpBlocks: ['1.2.3.0/24'] }), [], 403], [from('ALLOW', { notRemoteIpBlocks: ['1.2.3.0/24'] }), ['1.2.3.4'], 403],
    [from('DENY', { ipBlocks: ['127.0.0.1'] }), ['1.2.3.4'], 403], [from('ALLOW', { ipBlocks: ['1.2.3.4'] }), ['1.2.3.4'], 403],
    [policy({ action: 'DENY', rules: [{ when: [{ key: 'remote.ip', values: ['2001:db8::/32'] }] }] }), ['2001:DB8::7'], 403],
  ] as const) {
    const pod = await startPolicyPod(policyMesh([object], { accessLogFile: '/dev/stdout' }))
    t.after(() => pod.stop())
    assert.equal((await pod.ask(head(lines))).status, status, JSON.stringify([object, lines]))
  }
})

test('the access log names the address that X-Forwarded-For ends with', async () => {
  const pod = await startPolicyPod(policyMesh([], { accessLogFile: '/dev/stdout' }))
  try {
    for (const [lines] of forwardedCases) assert.equal((await pod.ask(head(lines))).status, 200)
  } finally {
    // What is held back is written when the proxy ends.
    await pod.stop()
  }
  const written = pod.accessLog.filter((l) => l.includes('GET / HTTP/1.1'))
  assert.equal(written.length, forwardedCases.length)
  for (const [i, [lines, want]] of forwardedCases.entries()) {
    const line = written[i] ?? ''
    if (want === undefined) assert.match(line, / 127\.0\.0\.1:[1-9]\d* outbound_|:80 127\.0\.0\.1:[1-9]\d* /, `${JSON.stringify(lines)}: ${line}`)
    else assert.ok(line.includes(` ${want.includes(':') ? `[${want}]` : want}:0 `), `${JSON.stringify(lines)}: ${line}`)
  }
})

test('explain takes the header from the call, and says that any caller can write it', () => {
  const mesh = policyMesh([from('ALLOW', { remoteIpBlocks: ['1.2.3.0/24'] })])
  const ask = (headers: Record<string, string>) => explain(mesh, { from: 'app.foo', to: 'http://app.foo/', headers })
  const forged = ask({ 'X-Forwarded-For': '9.9.9.9, 1.2.3.4' })
  assert.equal(forged.server?.authorization?.value, 'allow')
  assert.match(forged.provided ?? '', /any caller can write this header/)
  assert.equal(ask({}).server?.authorization?.value, 'deny')
  assert.equal(ask({}).provided, null)
})
