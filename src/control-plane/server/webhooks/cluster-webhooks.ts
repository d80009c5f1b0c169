// The webhooks of a cluster's control plane: settings from its ConfigMaps, native sidecars by its kubelets, caBundle kept, owners told.
// Law: settings that can't be read never replace those that could; until any are known, no pod of the mesh is let in.
import { KithError } from '#lib/errors.ts'
import type { Problem } from '#lib/problem.ts'
import { isRecord, type ApiObject } from '#api'
import { foreignHostProblems } from '#mesh'
import { stringify } from 'yaml'
import { createInjector, nativeSetting, nativeSidecars, type ReviewContext } from '#inject'
import { follow, followObject, parseYaml } from '#sources'
import type { StartWebhooks } from '../cluster/webhook-context.ts'
import { keepCaBundles, type CaBundles } from './ca-bundles.ts'
import { notInjectedEvents } from './not-injected-events.ts'
import { startWebhooks } from './start-webhooks.ts'
import { trustMetric, webhookMetrics } from './webhook-metrics.ts'
import { distrustText } from './webhook-trust.ts'

interface Source {
  readonly config: unknown
  readonly values: unknown
}

export const clusterWebhooks: StartWebhooks = async (context) => {
  const { client, namespace, revision, leadership, snapshot, meshConfig, registry, log } = context
  const ending = new AbortController()
  const metrics = webhookMetrics(registry)
  const name = revision === 'default' ? 'istio-sidecar-injector' : `istio-sidecar-injector-${revision}`

  /** One for each answer to "native?", as long as what it is made of stands. */
  const injectors = new Map<boolean, { readonly mesh: unknown; readonly injector: ReviewContext }>()
  const injectorOf = (from: Source): ReturnType<typeof createInjector> => createInjector({ ...from, meshConfig: meshConfig(), revision, yaml: { parse: yaml, print: (v) => stringify(v, { lineWidth: 0, version: '1.1', aliasDuplicateObjects: false }) } })
  let source: Source | undefined = { config: {}, values: {} }
  let why = ''
  let first = true
  const settings = followObject(client, { apiVersion: 'v1', kind: 'ConfigMap', namespace, name }, log, (object) => {
    if (object === undefined) return log.warn({ name }, 'the injector’s ConfigMap is gone, the last one goes on')
    try {
      const next = sourceOf(object['data'])
      const { faults } = injectorOf(next)
      if (faults.length > 0) throw new KithError('TEMPLATE_INVALID', faults.join('; '))
      source = next
      injectors.clear()
      first = false
    } catch (error) {
      why = `ConfigMap ${namespace}/${name} can’t be read: ${(error as Error).message}`
      // Defaults in place of what its owner meant would be a guess.
      if (first) source = undefined
      log.error({ name, reason: (error as Error).message }, first ? 'the injector’s ConfigMap can’t be read, no pod is let in until it can' : 'the injector’s ConfigMap can’t be read, the last one goes on')
    }
  })
  const setting = nativeSetting(process.env['ENABLE_NATIVE_SIDECARS'])
  const kubelets = new Map<string, string>()
  /** Of all nodes; thousands are not looked through for each pod. */
  let everywhere: boolean | undefined
  const nodes = setting !== 'auto' ? undefined : follow({ apiVersion: 'v1', kind: 'Node' }, {
    client, log, signal: ending.signal,
    onChange({ put, gone }) {
      for (const node of put) kubelets.set(node.metadata.name ?? '', kubeletVersion(node))
      for (const key of gone) kubelets.delete(key.slice(key.indexOf('/') + 1))
      everywhere = undefined
    },
  })
  await Promise.all([settings.settled, nodes?.settled])
  const unread = settings.unread()
  if (unread !== undefined) log.error({ name, reason: unread }, 'the injector’s ConfigMap can’t be read, no pod is let in until it can')
  else if (settings.current() === undefined) log.warn({ name }, 'there is no ConfigMap of the injector, the defaults hold')

  const injectorFor = (node: string | undefined): ReviewContext | string => {
    if (source === undefined) return why
    // Whether there is one is not known: the defaults would be a guess.
    const refused = first ? settings.unread() : undefined
    if (refused !== undefined) return `ConfigMap ${namespace}/${name} can’t be read: ${refused}`
    const native = node === undefined ? (everywhere ??= nativeSidecars(setting, kubelets, undefined)) : nativeSidecars(setting, kubelets, node)
    const mesh = meshConfig()
    const held = injectors.get(native)
    if (held?.mesh === mesh) return held.injector
    const made = injectorOf(source)
    const injector: ReviewContext = { ...made, settings: { ...made.settings, nativeSidecars: made.settings.nativeSidecars || native }, namespaceLabels: (n) => snapshot()?.mesh.namespaces.get(n) }
    injectors.set(native, { mesh, injector })
    return injector
  }

  const beyond = (object: ApiObject): readonly Problem[] => foreignHostProblems(object, meshConfig(), snapshot()?.mesh)
  let bundles: CaBundles | undefined
  const notes = (): readonly string[] => bundles?.distrusted().map(distrustText) ?? []
  const server = await startWebhooks({ ...context, beyond, injector: injectorFor, metrics, notes, onReview: notInjectedEvents({ client, log, now: Date.now }) })
  const kept = keepCaBundles({ client, revision, namespace, leads: () => leadership.isLeader(), onPatch: metrics.patched, served: () => context.serving.current, log })
  bundles = kept
  trustMetric(registry, kept.trust)
  context.onRoots(kept.setRoots)
  leadership.watch(kept.check)
  context.serving.addIdentityCertificateListener(kept.check)
  log.info({ port: server.port, native: nativeSidecars(setting, kubelets, undefined) }, 'webhooks are served')
  return {
    notes,
    async close() {
      context.serving.removeIdentityCertificateListener(kept.check)
      kept.close()
      settings.close()
      ending.abort()
      await server.close()
    },
  }
}

function sourceOf(data: unknown): Source {
  const text = (key: string): string => (isRecord(data) && typeof data[key] === 'string' ? data[key] : '')
  return { config: yaml(text('config')), values: yaml(text('values')) }
}

function yaml(text: string): unknown {
  const { documents, problems } = parseYaml(text, 'istio-sidecar-injector')
  const fault = problems.find((p) => p.severity === 'error')
  if (fault !== undefined) throw new KithError('YAML_INVALID', `line ${fault.ref.line ?? 1}: ${fault.message}`)
  return documents[0]?.value ?? {}
}

function kubeletVersion(node: object): string {
  const status = (node as { status?: { nodeInfo?: { kubeletVersion?: unknown } } }).status
  return typeof status?.nodeInfo?.kubeletVersion === 'string' ? status.nodeInfo.kubeletVersion : ''
}
