// The control plane as a process, on one machine or in a cluster: flags in, one JSON line on stdout when it serves.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { describeFailure, KithError } from '#lib/errors.ts'
import { kubernetesClient } from '#lib/kubernetes/client.ts'
import { createLogger } from '#lib/log.ts'
import { jwksReviewer } from '#ca'
import { startInCluster } from './cluster/start-in-cluster.ts'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { fileMeshConfig } from './mesh-config-source.ts'
import { rootSettings } from './root-settings.ts'
import { clusterWebhooks } from './webhooks/index.ts'

const { values } = parseArgs({
  // Istio's word for it, `discovery`, may stand before the flags.
  allowPositionals: true,
  options: {
    'config-dir': { type: 'string', multiple: true, default: [] }, 'whole-dir': { type: 'string', multiple: true, default: [] }, 'mesh-config': { type: 'string' }, 'state-dir': { type: 'string' }, listen: { type: 'string' }, 'status-port': { type: 'string', default: '15014' },
    'token-keys': { type: 'string' }, 'token-issuer': { type: 'string' }, 'cert-ttl': { type: 'string' }, 'keep-root': { type: 'boolean', default: false }, 'log-level': { type: 'string', default: 'info' },
    // In a cluster.
    kubernetes: { type: 'boolean', default: false }, kubeconfig: { type: 'string' }, context: { type: 'string' }, namespace: { type: 'string' }, revision: { type: 'string', default: 'default' },
    'status-host': { type: 'string' }, 'write-status': { type: 'boolean', default: true }, 'drain-seconds': { type: 'string', default: '3' }, 'staging-seconds': { type: 'string' }, 'webhook-port': { type: 'string', default: '15017' },
  },
  allowNegative: true,
})
const log = createLogger('control-plane', values['log-level'] as 'info')
const need = (name: 'state-dir' | 'token-keys' | 'token-issuer'): string => {
  const value = values[name]
  if (value === undefined) throw new KithError('FLAG_MISSING', `--${name} is needed`)
  return value
}
const ttl = values['cert-ttl'] === undefined ? {} : { certificateLifetimeMs: Number(values['cert-ttl']) * 1000 }
const listen = values.listen ?? (values.kubernetes ? '0.0.0.0:15012' : '127.0.0.1:15012')

function fromFiles(): Promise<ControlPlane> {
  const file = values['mesh-config']
  return startControlPlane({
    config: [...values['config-dir'], ...values['whole-dir']], wholeConfig: values['whole-dir'], meshConfig: file === undefined ? {} : (onChange) => fileMeshConfig(file, log, onChange), stateDir: need('state-dir'), listen, statusPort: Number(values['status-port']),
    reviewer: jwksReviewer(JSON.parse(readFileSync(need('token-keys'), 'utf8')) as Parameters<typeof jwksReviewer>[0], need('token-issuer')), ...ttl, keepRoot: values['keep-root'], issuerKeys: { loopback: true }, log,
  })
}

async function fromCluster(): Promise<ControlPlane> {
  const client = await kubernetesClient({ ...(values.kubeconfig === undefined ? {} : { kubeconfig: values.kubeconfig }), ...(values.context === undefined ? {} : { context: values.context }) })
  return startInCluster({
    client, namespace: values.namespace ?? process.env['POD_NAMESPACE'] ?? 'istio-system', revision: values.revision, me: process.env['POD_NAME'] ?? `${hostname()}-${process.pid}`, listen,
    statusPort: { host: values['status-host'] ?? '0.0.0.0', port: Number(values['status-port']) }, webhooks: { start: clusterWebhooks, host: '0.0.0.0', port: Number(values['webhook-port']) }, writeStatus: values['write-status'], root: rootSettings(process.env), ...ttl,
    ...(values['staging-seconds'] === undefined ? {} : { staging: { leastMs: Number(values['staging-seconds']) * 1000 } }), log,
  })
}

try {
  const plane = await (values.kubernetes ? fromCluster() : fromFiles())
  process.stdout.write(JSON.stringify({ event: 'ready', listen: listen.replace(/:\d+$/, `:${plane.port}`), statusPort: plane.statusPort }) + '\n')
  const drainMs = values.kubernetes ? Number(values['drain-seconds']) * 1000 : 0
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void plane.stop(drainMs).then(() => process.exit(0)))
} catch (error) {
  const { code, message: reason } = describeFailure(error)
  log.error({ code, reason }, 'control plane could not start')
  process.exit(1)
}
