// A condition on a header that comes several times, or lists several values: through our own sidecar over HTTP/1.1 and HTTP/2, and as explain says it.
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { test } from 'node:test'
import { explain } from '#insight'
import { headerCases, spec } from './header-cases.ts'
import { policy, policyMesh, startPolicyPod, type PolicyPod } from './policy-pod.ts'

test('more values never gain access and never slip past a DENY', async (t) => {
  for (const [what, rule, rows] of headerCases) {
    const mesh = policyMesh([policy(spec(rule))])
    const pod = await startPolicyPod(mesh)
    t.after(() => pod.stop())
    for (const [lines, status] of rows) {
      const bytes = `GET / HTTP/1.1\r\nhost: app.foo\r\n${lines.map((l) => `${rule.name}: ${l}\r\n`).join('')}\r\n`
      assert.equal((await pod.ask(bytes)).status, status, `${what}: ${JSON.stringify(lines)}`)
      assert.equal(await overHttp2(pod, rule.name, lines), status, `HTTP/2, ${what}: ${JSON.stringify(lines)}`)
      const text = lines.map((l) => Buffer.from(l, 'latin1').toString('utf8'))
      // Bytes that are no UTF-8 can't be typed.
      if (text.some((l) => l.includes('\ufffd'))) continue
      const said = explain(mesh, { from: 'app.foo', to: 'http://app.foo/', headers: { [rule.name.toUpperCase()]: text } })
      assert.equal(said.server?.authorization?.value, status === 200 ? 'allow' : 'deny', `explain, ${what}: ${JSON.stringify(lines)}`)
    }
  }
})

function overHttp2(pod: PolicyPod, name: string, lines: readonly string[]): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${pod.port}`)
    const stream = session.on('error', reject).request([':method', 'GET', ':path', '/', ':authority', 'app.foo', ':scheme', 'http', ...lines.flatMap((l) => [name, l])] as never, { endStream: true })
    stream.on('response', (h) => {
      resolve(h[':status'])
      session.destroy()
    }).on('error', reject).resume()
  })
}

test('a dry run and AUDIT read headers as the policy that they stand for', async (t) => {
  const when = { rules: [{ when: [{ key: 'request.headers[x-role]', values: ['admin'] }] }] }
  const pod = await startPolicyPod(policyMesh([policy({ action: 'DENY', ...when }, 'dry', { 'istio.io/dry-run': 'true' }), policy({ action: 'AUDIT', ...when }, 'audit')]))
  t.after(() => pod.stop())
  const ask = (...lines: string[]) => pod.ask(`GET / HTTP/1.1\r\nhost: app.foo\r\n${lines.map((l) => `x-role: ${l}\r\n`).join('')}\r\n`)
  const counted = (name: string): number => Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, 'm').exec(pod.metrics())?.[1] ?? 0)
  for (const [i, lines] of [['admin', 'user'], ['user', 'admin'], ['user, admin']].entries()) {
    assert.equal((await ask(...lines)).status, 200)
    assert.deepEqual([counted('kith_rbac_shadow_denied_total'), counted('kith_rbac_audited_total')], [i + 1, i + 1], lines.join())
  }
  await ask('user')
  assert.deepEqual([counted('kith_rbac_shadow_denied_total'), counted('kith_rbac_audited_total')], [3, 3])
})
