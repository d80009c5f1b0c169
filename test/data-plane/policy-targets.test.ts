// Targets and methods that slip past a policy where it reads them in another way than the application: through our own sidecar, over sockets.
import assert from 'node:assert/strict'
import { connect as connectHttp2 } from 'node:http2'
import { test } from 'node:test'
import { policy, policyMesh, startPolicyPod } from './policy-pod.ts'

const get = (target: string, method = 'GET'): string => `${method} ${target} HTTP/1.1\r\nhost: app.foo\r\n\r\n`
const denied = [policy({ action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }, { to: [{ operation: { methods: ['DELETE'] } }] }] })]

test('a policy on paths and methods is not evaded by another spelling', async (t) => {
  const pod = await startPolicyPod(policyMesh(denied))
  t.after(() => pod.stop())
  for (const [bytes, status, url] of [
    [get('/admin'), 403], [get('/x/..;/admin'), 403], [get('/.;/admin'), 403], [get('/x/..;a=b/admin'), 403], [get('/x/%2e%2e;/admin'), 403], [get('/x\\..;\\admin'), 403], [get('/../admin'), 403], [get('/%61dmin'), 403],
    [get('/x', 'DELETE'), 403], [get('/x', 'delete'), 400], [get('/x', 'Delete'), 400], [get('/x', 'get'), 400],
    [get('/x%'), 200, '/x%'], [get('/a%zz'), 200, '/a%zz'], [get('/a%2fb'), 200, '/a%2fb'], [get('/..'), 200, '/'], [get('/a|b'), 200, '/a%7Cb'], [get('/a%00'), 400],
    [get('http://app.foo'), 200, '/'], [get('http://app.foo?a=1'), 200, '/?a=1'], [get('http://app.foo/admin'), 403], [get('/x?y=/../admin'), 200, '/x?y=/../admin'],
  ] as const) {
    const answer = await pod.ask(bytes)
    assert.equal(answer.status, status, bytes)
    if (url !== undefined) assert.ok(answer.text.includes(`"url":"${url}"`), answer.text)
  }
})

test('HTTP/2: a method with small letters is refused too', async (t) => {
  const pod = await startPolicyPod(policyMesh(denied))
  t.after(() => pod.stop())
  const session = connectHttp2(`http://127.0.0.1:${pod.port}`)
  t.after(() => session.destroy())
  for (const [method, path, want] of [['GET', '/x', 200], ['delete', '/x', 400], ['DELETE', '/x', 403], ['GET', '/x/..;/admin', 403]] as const) {
    const status = await new Promise((resolve, reject) => {
      const stream = session.request({ ':method': method, ':path': path, ':authority': 'app.foo' }, { endStream: true })
      stream.on('response', (h) => resolve(h[':status'])).on('error', reject)
      stream.resume()
    })
    assert.equal(status, want, `${method} ${path}`)
  }
})

test('meshConfig.pathNormalization reaches the sidecar: slashes are merged, decoded, or left', async (t) => {
  for (const [normalization, target, status] of [
    ['NONE', '/x/../admin', 200], ['BASE', '/x/../admin', 403], ['BASE', '//admin', 200], ['MERGE_SLASHES', '//admin', 403], ['MERGE_SLASHES', '/x%2f..%2fadmin', 200],
    ['DECODE_AND_MERGE_SLASHES', '/x%2f..%2fadmin', 403], ['DECODE_AND_MERGE_SLASHES', '/%5cadmin', 403],
  ] as const) {
    const pod = await startPolicyPod(policyMesh(denied, { pathNormalization: { normalization } }))
    t.after(() => pod.stop())
    assert.equal((await pod.ask(get(target))).status, status, `${normalization} ${target}`)
  }
})
