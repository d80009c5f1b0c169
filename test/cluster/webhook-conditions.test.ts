// With the control plane down, a real API server lets in just those pods that the injector would leave alone: the CEL
// of our
// webhooks says what decide.ts says. The webhooks lead to a Service that does not exist, in a revision of our own.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { decideInjection, injectKey, webhookConfigurations } from '#inject'
import { KithError } from '#lib/errors.ts'
import { kubernetesClient } from '#lib/kubernetes/client.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import { lab, labMissing, labUp } from './lab.ts'

const required = (process.env['REQUIRE'] ?? '').split(',').includes('cluster')
const there = (process.env['KUBECONFIG'] ?? '') !== ''
const missing = there ? undefined : required ? labMissing() : 'KUBECONFIG names none'
if (missing !== undefined && required) throw new Error(`REQUIRE=cluster, but ${missing}`)
const skip = missing === undefined ? false : `skipped: needs a cluster (${missing})`

const revision = `conditions-${process.pid}`
const namespace = `kith-${revision}`
const tag = `tag-${process.pid}`
const configurations = [
  ...webhookConfigurations({ revision, namespace }),
  ...webhookConfigurations({ revision, namespace, tag }),
].filter((o) => o.kind === 'MutatingWebhookConfiguration')
const namespaces = [
  { name: namespace, labels: { 'istio.io/rev': revision } },
  { name: `${namespace}-tag`, labels: { 'istio.io/rev': tag } },
] as const
let client: KubernetesClient
let ours = false

async function eventually(what: string, ready: () => Promise<boolean>): Promise<void> {
  for (let i = 0; !(await ready()); i++) {
    assert.ok(i < 300, what)
    await pause(100)
  }
}

before(async () => {
  if (skip !== false) return
  if (!there) ours = labUp('--no-node').ours
  client = await kubernetesClient()
  for (const metadata of namespaces) await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata })
  for (const { name } of namespaces) {
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', namespace: name, name: 'default' }
    await eventually('the account', async () => (await client.get(account)) !== undefined)
  }
  for (const configuration of configurations) await client.create(configuration)
})

after(async () => {
  if (skip !== false) return
  for (const { apiVersion, kind, metadata } of configurations) {
    await client.delete({ apiVersion, kind, name: metadata.name ?? '' })
  }
  for (const { name } of namespaces) await client.delete({ apiVersion: 'v1', kind: 'Namespace', name })
  client.close()
  if (ours) lab('down')
})

type Words = Readonly<Record<string, readonly unknown[]>>

/** Every combination of the fields' values; undefined: the field is not there. */
function drawn(fields: Words): Record<string, unknown>[] {
  let all: Record<string, unknown>[] = [{}]
  for (const [key, values] of Object.entries(fields)) {
    all = all.flatMap((one) => values.map((v) => (v === undefined ? one : { ...one, [key]: v })))
  }
  return all
}

const mirror = 'kubernetes.io/config.mirror'
const words = [undefined, 'true', 'false', 'odd']

interface Case {
  readonly labels: Record<string, string>
  readonly annotations: Record<string, string>
  readonly spec: Record<string, unknown>
}

function cases(): Case[] {
  const specs = drawn({
    hostNetwork: [undefined, false, true],
    os: [undefined, { name: 'linux' }, { name: 'windows' }],
  })
  const labels = drawn({ [injectKey]: words }) as Record<string, string>[]
  const annotations = drawn({ [injectKey]: words, [mirror]: [undefined, 'x'] }) as Record<string, string>[]
  return labels.flatMap((l) => annotations.flatMap((a) => specs.map((spec) => ({ labels: l, annotations: a, spec }))))
}

/** undefined: the API server takes the pod. */
async function refusal(within: string, { labels, annotations, spec }: Case): Promise<string | undefined> {
  const metadata = {
    name: 'probe',
    namespace: within,
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
  }
  // A mirror of a static pod names its node, and mounts no token.
  const bound = annotations[mirror] === undefined ? {} : { nodeName: 'n1' }
  const containers = [{ name: 'app', image: 'kith.invalid/app' }]
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { ...spec, ...bound, containers } } as KubernetesObject
  return client.create(pod, { dryRun: true }).then(
    () => undefined,
    (error: unknown) => {
      if (error instanceof KithError) return error.message
      throw error
    },
  )
}

test(
  'pods that the injector leaves alone come while it is down, all others are refused',
  { skip, timeout: 120_000 },
  async () => {
    // Webhooks are in force a moment after they were written.
    const plain = { labels: {}, annotations: {}, spec: {} }
    for (const { name } of namespaces) {
      await eventually('in force', async () => /failed calling webhook/.test((await refusal(name, plain)) ?? ''))
    }
    const all = cases()
    let taken = 0
    for (const { name, labels: namespaceLabels } of namespaces) {
      for (const one of all) {
        const { labels, annotations, spec } = one
        const os = (spec['os'] as { name: string } | undefined)?.name
        const hostNetwork = spec['hostNetwork'] === true
        const pod = {
          namespace: name,
          namespaceLabels,
          labels,
          annotations,
          hostNetwork,
          ...(os === undefined ? {} : { os }),
        }
        const injected = decideInjection(pod, { revision: namespaceLabels['istio.io/rev'] }).value
        const why = await refusal(name, one)
        if (injected) assert.match(why ?? 'taken', /failed calling webhook "rev\.namespace\./, JSON.stringify(one))
        else assert.equal(why, undefined, JSON.stringify(one))
        if (why === undefined) taken++
      }
    }
    assert.ok(taken > all.length / 2, `${taken} of ${2 * all.length}`)
  },
)
