// Pods that the injector leaves alone are not asked about: the conditions stand in every injecting webhook that is
// installed,
// of revisions and tags, and only where the API server knows them. What they say is proven on a real one
// (test/cluster).
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { injectorConditions } from '#inject'
import { ApiServer } from './api-server.ts'

const root = join(import.meta.dirname, '../..')
const webhooks = '/apis/admissionregistration.k8s.io/v1'
const command = join(root, 'bin/kith')
let api: ApiServer
let folder = ''

before(async () => {
  api = await ApiServer.start()
  folder = mkdtempSync(join(tmpdir(), 'kith-conditions-'))
  writeFileSync(join(folder, 'config'), api.kubeconfig)
})
after(async () => {
  rmSync(folder, { recursive: true, force: true })
  await api.down()
})

interface Webhook {
  readonly name: string
  readonly matchConditions?: unknown
}

function conditions(name: string, kind = 'mutating'): readonly unknown[] {
  const found = api.read(`${webhooks}/${kind}webhookconfigurations`, name)?.['webhooks'] as
    readonly Webhook[] | undefined
  assert.ok(found !== undefined && found.length > 0, name)
  return found.map((w) => w.matchConditions)
}

function kith(...args: readonly string[]): Promise<{ readonly code: number | null; readonly said: string }> {
  const child = spawn(command, args, { env: { ...process.env, KUBECONFIG: join(folder, 'config') } })
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => said.push(chunk))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, said: Buffer.concat(said).toString() })))
}

test('what is installed, and a tag, tells the API server not to ask about pods that are left alone', async () => {
  for (const [minor, expected] of [
    ['34', injectorConditions],
    ['28+', injectorConditions],
    ['27', undefined],
  ] as const) {
    api.minor = minor
    const installed = await kith('install', '-y', '--no-wait', '--set', 'revisionTags={prod}')
    assert.equal(installed.code, 0, installed.said)
    const tagged = await kith('tag', 'set', 'canary', '--revision', 'default', '--overwrite')
    assert.equal(tagged.code, 0, tagged.said)
    for (const name of ['istio-sidecar-injector', 'istio-revision-tag-prod', 'istio-revision-tag-canary']) {
      for (const found of conditions(name)) assert.deepEqual(found, expected, `${minor}: ${name}`)
    }
    for (const found of conditions('istio-validator-istio-system', 'validating')) assert.equal(found, undefined)
  }
})
