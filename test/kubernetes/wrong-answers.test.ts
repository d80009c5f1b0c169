// A proxy before the API server that answers in its place: what is held stays, for policies too, and nothing is made
// anew by mistake.
import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'
import { silentLogger } from '#lib/log.ts'
import { newRootFiles } from '#ca'
import { watchKubernetes, type Objects } from '#sources'
import { clusterAuthority } from '../../src/control-plane/server/cluster/cluster-authority.ts'
import { eventually, remember, type Line } from '../scenario/fixtures/trust-mesh.ts'
import { ApiServer, clientOf } from './api-server.ts'

const policies = '/apis/security.istio.io/v1/namespaces/foo/authorizationpolicies'
const deny = {
  metadata: { name: 'deny' },
  spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] },
}
const page = '<!DOCTYPE html><html><body>Sign in</body></html>\n'

const answers: Readonly<Record<string, (response: ServerResponse) => void>> = {
  'a page': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page),
  'a page that calls itself JSON': (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(page),
  nothing: (response) => response.writeHead(200).end(),
  'an object without a kind': (response) => response.writeHead(200).end('{"items":[]}'),
  'a table': (response) =>
    response
      .writeHead(200)
      .end('{"apiVersion":"meta.k8s.io/v1","kind":"Table","metadata":{"resourceVersion":"9"},"rows":[]}'),
  'a list without a version': (response) =>
    response
      .writeHead(200)
      .end('{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicyList","metadata":{},"items":[]}'),
  'a list of another kind': (response) =>
    response
      .writeHead(200)
      .end('{"apiVersion":"v1","kind":"SecretList","metadata":{"resourceVersion":"9"},"items":[]}'),
  'a page with 404': (response) => response.writeHead(404, { 'content-type': 'text/html' }).end(page),
  'a page with 403': (response) => response.writeHead(403, { 'content-type': 'text/html' }).end(page),
}

async function started(t: TestContext): Promise<{ api: ApiServer; client: ReturnType<typeof clientOf> }> {
  const api = await ApiServer.start()
  const client = clientOf(api)
  t.after(async () => {
    client.close()
    await api.down().catch(() => undefined)
  })
  return { api, client }
}

test('held policies stay whatever is answered to a list after 410, or in the place of a watch', async (t) => {
  await Promise.all(
    Object.entries(answers).map(async ([what, answer]) => {
      const { api, client } = await started(t)
      api.put(policies, deny)
      const lines: Line[] = []
      const seen: Objects[] = []
      const watch = watchKubernetes(client, { log: remember(lines), pick: () => 0 }, (o) => seen.push(o))
      t.after(() => watch.close())
      await watch.synced
      let answered = 0
      api.instead = (request, response) => {
        if (!(request.url ?? '').includes('authorizationpolicies')) return false
        answered++
        answer(response)
        return true
      }
      // What was held is too old to go on from: all is listed anew.
      api.forget()
      api.cut()
      await eventually(
        `${what}: answered`,
        () => answered,
        (n) => n >= 3,
      )
      await eventually(
        `${what}: said`,
        () =>
          lines.some(
            (l) =>
              /lost|can not be read/.test(l.message) &&
              (l.fields['kinds'] as string[] | undefined)?.includes('AuthorizationPolicy'),
          ),
        (said) => said,
      )
      assert.ok(
        seen.every((o) => o.objects.some((p) => p.kind === 'AuthorizationPolicy')),
        what,
      )
      assert.equal(watch.status().find((k) => k.kind === 'AuthorizationPolicy')?.state, 'lost', what)
      api.instead = undefined
      api.remove(policies, 'deny')
      await eventually(
        `${what}: the API server’s own word`,
        () => seen.at(-1)?.objects.some((p) => p.kind === 'AuthorizationPolicy'),
        (there) => there === false,
        10_000,
      )
      watch.close()
    }),
  )
})

test('before the first whole list nothing is served, whatever is answered', async (t) => {
  await Promise.all(
    Object.entries(answers).map(async ([what, answer]) => {
      const { api, client } = await started(t)
      api.put(policies, deny)
      let answered = 0
      api.instead = (request, response) => {
        if (!(request.url ?? '').includes('authorizationpolicies') || answered >= 3) return false
        answered++
        answer(response)
        return true
      }
      const seen: Objects[] = []
      const watch = watchKubernetes(client, { log: silentLogger, pick: () => 0 }, (o) => seen.push(o))
      t.after(() => watch.close())
      await watch.synced
      assert.ok(answered >= 3, what)
      assert.ok(
        seen[0]?.objects.some((p) => p.kind === 'AuthorizationPolicy'),
        what,
      )
      watch.close()
    }),
  )
})

test('a page is no missing Secret: no root is made in the place of the one that is plugged in', async (t) => {
  await Promise.all(
    Object.entries(answers).map(async ([what, answer]) => {
      const { api, client } = await started(t)
      const files = await newRootFiles('cluster.local', Date.now())
      api.put('/api/v1/namespaces/istio-system/secrets', {
        metadata: { name: 'cacerts' },
        data: Object.fromEntries(Object.entries(files).map(([n, pem]) => [n, Buffer.from(pem).toString('base64')])),
      })
      api.instead = (request, response) => {
        if (!(request.url ?? '').endsWith('/secrets/cacerts')) return false
        answer(response)
        return true
      }
      const source = clusterAuthority({
        client,
        namespace: 'istio-system',
        trustDomain: 'cluster.local',
        now: Date.now,
        log: silentLogger,
        onChange: () => undefined,
      })
      await assert.rejects(source, { code: 'K8S_FAILED' }, what)
      assert.ok(!api.requests.some((r) => r.startsWith('POST')), what)
    }),
  )
})
