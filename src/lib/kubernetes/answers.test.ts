// A body counts only with its kind: every verb against every kind of wrong answer with status 200, and refusals that no
// API server wrote.
import assert from 'node:assert/strict'
import { createServer, type ServerResponse } from 'node:http'
import { test, type TestContext } from 'node:test'
import { clientOver } from './client.ts'
import { transport } from './http.ts'
import type { KubernetesClient, KubernetesObject } from './types.ts'

interface Body {
  readonly text: string
  readonly type?: string
  readonly status?: number
}

async function served(t: TestContext) {
  let body: Body = { text: '' }
  const server = createServer((request, response: ServerResponse) => {
    request.resume()
    response.writeHead(body.status ?? 200, body.type === undefined ? {} : { 'content-type': body.type }).end(body.text)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as { port: number }).port}`
  const client = clientOver(
    transport({ server: url, namespace: 'foo', cluster: { server: url }, user: {} }),
    url,
    'foo',
  )
  t.after(() => {
    client.close()
    server.closeAllConnections()
    server.close()
  })
  return {
    client,
    answer: (next: Body) => {
      body = next
    },
  }
}

const of = { apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy' }
const key = { ...of, namespace: 'foo', name: 'deny' }
const object = { ...of, metadata: { name: 'deny', namespace: 'foo', resourceVersion: '7', uid: 'u' }, spec: {} }
const list = {
  apiVersion: of.apiVersion,
  kind: 'AuthorizationPolicyList',
  metadata: { resourceVersion: '8' },
  items: [{ metadata: object.metadata }],
}
const table = {
  apiVersion: 'meta.k8s.io/v1',
  kind: 'Table',
  metadata: { resourceVersion: '8' },
  columnDefinitions: [],
  rows: [],
}
const success = { apiVersion: 'v1', kind: 'Status', status: 'Success' }
const html = '<!DOCTYPE html><html><body>Sign in</body></html>'

async function watched(client: KubernetesClient): Promise<string[]> {
  const got: string[] = []
  for await (const event of client.watch(of, { resourceVersion: '1', signal: new AbortController().signal }))
    got.push(`${event.type} ${event.object.metadata?.name ?? ''}`)
  return got
}

const verbs: Readonly<Record<string, (client: KubernetesClient) => Promise<unknown>>> = {
  get: (client) => client.get(key),
  create: (client) => client.create(object as KubernetesObject),
  update: (client) => client.update(object as KubernetesObject),
  apply: (client) => client.apply(object as KubernetesObject),
  patch: (client) => client.patch(key, 'merge', {}),
  'patch of a status': (client) => client.patch(key, 'merge', {}, { subresource: 'status' }),
  delete: (client) => client.delete(key),
  list: (client) => client.list(of),
  pages: (client) => client.pages(of)[Symbol.asyncIterator]().next(),
  discovery: (client) => client.get({ apiVersion: 'example.com/v1', kind: 'Widget', name: 'w' }),
}

const json = (value: unknown): Body => ({ text: JSON.stringify(value), type: 'application/json' })
const wrong: Readonly<Record<string, Body>> = {
  html: { text: html, type: 'text/html' },
  'html that calls itself JSON': { text: html, type: 'application/json' },
  'html of no type': { text: html },
  nothing: { text: '' },
  'no content': { text: '', status: 204 },
  'truncated object': { text: JSON.stringify(object).slice(0, -8), type: 'application/json' },
  'truncated list': { text: JSON.stringify(list).slice(0, -8), type: 'application/json' },
  null: json(null),
  string: json('ok'),
  array: json([object]),
  'empty object': json({}),
  table: json(table),
  failure: json({ ...success, status: 'Failure', code: 500 }),
  'another kind': json({ ...object, kind: 'PeerAuthentication' }),
  'another version': json({ ...object, apiVersion: 'v1' }),
  'another name': json({ ...object, metadata: { ...object.metadata, name: 'allow' } }),
  'no metadata': json({ ...of, spec: {} }),
  'list of another kind': json({ ...list, kind: 'PeerAuthenticationList' }),
  'list of another version': json({ ...list, apiVersion: 'v1' }),
  'list without a version': json({ ...list, metadata: {} }),
  'list without items': json({ ...list, items: undefined }),
  'list of odd items': json({ ...list, items: [7] }),
  'list of items without names': json({ ...list, items: [{ metadata: {} }] }),
  'list of items of another kind': json({ ...list, items: [{ ...object, kind: 'Secret' }] }),
}

test('an answer with status 200 that is not what was asked for is K8S_FAILED, for every verb', async (t) => {
  const { client, answer } = await served(t)
  for (const [verb, ask] of Object.entries(verbs)) {
    for (const [what, body] of Object.entries(wrong)) {
      answer(body)
      await assert.rejects(async () => await ask(client), { code: 'K8S_FAILED' }, `${verb}: ${what}`)
    }
  }
})

test('what was asked for counts', async (t) => {
  const { client, answer } = await served(t)
  answer(json(object))
  for (const verb of ['get', 'create', 'update', 'apply', 'patch', 'patch of a status', 'delete'])
    assert.ok(await verbs[verb]?.(client), verb)
  answer(json(success))
  assert.equal(await client.delete(key), true)
  for (const items of [list.items, [], null]) {
    answer(json({ ...list, items }))
    assert.deepEqual(await client.list(of), {
      items: items === null ? [] : items.map((i) => ({ ...i, ...of })),
      resourceVersion: '8',
    })
  }
  const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', metadata: {}, spec: {} }
  answer(json({ ...review, metadata: { creationTimestamp: null }, status: { authenticated: true } }))
  assert.deepEqual((await client.create(review))['status'], { authenticated: true })
})

test('a watch yields events of its kind alone; anything else is K8S_FAILED, and takes nothing away', async (t) => {
  const { client, answer } = await served(t)
  const line = (value: unknown): string => JSON.stringify(value) + '\n'
  const bookmark = { type: 'BOOKMARK', object: { ...of, metadata: { resourceVersion: '9' } } }
  const error = { type: 'ERROR', object: { ...success, status: 'Failure', code: 410 } }
  answer({
    text: [{ type: 'ADDED', object }, bookmark, { type: 'DELETED', object }, error].map(line).join(''),
    type: 'application/json;stream=watch',
  })
  assert.deepEqual(await watched(client), ['ADDED deny', 'BOOKMARK ', 'DELETED deny', 'ERROR '])
  const events: readonly unknown[] = [
    null,
    'x',
    {},
    { type: 'ADDED' },
    { object },
    { type: 'RENAMED', object },
    { type: 'DELETED', object: { ...object, kind: 'Table' } },
    { type: 'DELETED', object: { metadata: object.metadata } },
    { type: 'ADDED', object: { ...object, apiVersion: 'v1' } },
    { type: 'ADDED', object: { ...object, metadata: { name: 'deny' } } },
    { type: 'MODIFIED', object: { ...object, metadata: { resourceVersion: '3' } } },
    { type: 'BOOKMARK', object: { ...of, metadata: {} } },
    { type: 'BOOKMARK', object: { ...table } },
    { type: 'ERROR', object: 'gone' },
    { type: 'ERROR', object: { code: 410 } },
  ]
  for (const event of events) {
    answer({ text: line(event), type: 'application/json' })
    await assert.rejects(watched(client), { code: 'K8S_FAILED' }, line(event))
  }
  for (const body of [
    { text: html, type: 'text/html' },
    { text: html + '\n' },
    { text: '{"type":\n', type: 'application/json' },
  ]) {
    answer(body)
    await assert.rejects(watched(client), { code: 'K8S_FAILED' }, body.text)
  }
})

test('a refusal has a meaning only where the API server wrote it: a page with 404 takes nothing away', async (t) => {
  const { client, answer } = await served(t)
  for (const status of [400, 403, 404, 409, 410, 422, 502, 503]) {
    for (const text of [html, '', '{}', '[]', 'null', 'no such host']) {
      answer({ text, status })
      for (const verb of ['get', 'delete', 'list', 'create'])
        await assert.rejects(
          async () => await verbs[verb]?.(client),
          { code: 'K8S_FAILED' },
          `${verb}: ${status} ${text}`,
        )
      await assert.rejects(watched(client), { code: 'K8S_FAILED' }, `watch: ${status} ${text}`)
    }
  }
  // What an API server says of a group that it does not serve is plain text.
  answer({ text: '404 page not found\n', type: 'text/plain; charset=utf-8', status: 404 })
  assert.equal(await client.get(key), undefined)
  await assert.rejects(client.list(of), { code: 'K8S_NOT_FOUND' })
})

test('what is refused is described without a word of its content', async (t) => {
  const { client, answer } = await served(t)
  answer({ text: JSON.stringify({ ...object, kind: 'Secret', data: { key: 'c2VjcmV0' } }) })
  await assert.rejects(
    client.get(key),
    (error: Error) =>
      error.message ===
      'GET /apis/security.istio.io/v1/namespaces/foo/authorizationpolicies/deny: the answer is Secret of security.istio.io/v1, not AuthorizationPolicy of security.istio.io/v1',
  )
  answer({ text: '{"data":{"key":"c2VjcmV0"' })
  await assert.rejects(
    client.get(key),
    (error: Error) =>
      error.message ===
      'GET /apis/security.istio.io/v1/namespaces/foo/authorizationpolicies/deny: the answer is text of 25 characters, not AuthorizationPolicy of security.istio.io/v1',
  )
})
