// Whether the API server can call the webhooks of a control plane that is installed: it is asked to try, and to keep
// nothing.
// Law: only its own word counts. It alone knows which certificates it trusts and where it can connect to.
import { KithError } from '#lib/errors.ts'
import type { KubernetesClient, KubernetesObject } from '#lib/kubernetes/types.ts'
import type { InstallPlan } from './plan-install.ts'

/** An image that is never pulled: nothing of this is kept. */
const probeImage = 'kith.invalid/precheck'

/** The API server's sentences on calls that failed; none where there is no such webhook yet. */
export async function failedWebhookCalls(client: KubernetesClient, plan: InstallPlan): Promise<string[]> {
  const { namespace, revision } = plan
  const kinds = ['MutatingWebhookConfiguration', 'ValidatingWebhookConfiguration']
  const of = kinds.map((kind) =>
    client.list({ apiVersion: 'admissionregistration.k8s.io/v1', kind, labelSelector: `istio.io/rev=${revision}` }),
  )
  const [mutating, validating] = await Promise.all(of)
  const metadata = { name: 'kith-precheck', namespace, labels: { 'istio.io/rev': revision } }
  const probes: KubernetesObject[] = []
  if (mutating !== undefined && mutating.items.length > 0) {
    const labels = { ...metadata.labels, 'sidecar.istio.io/inject': 'true' }
    const spec = { containers: [{ name: 'precheck', image: probeImage }] }
    probes.push({ apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, labels }, spec })
  }
  if (validating !== undefined && validating.items.length > 0) {
    probes.push({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata, spec: {} })
  }
  const answers = await Promise.all(probes.map((probe) => tried(client, probe)))
  return [...new Set(answers.filter((a) => a !== undefined))]
}

/**
 * undefined: the call came through, or the API server refuses for a reason of its own (a quota, pod security, a right).
 */
async function tried(client: KubernetesClient, probe: KubernetesObject): Promise<string | undefined> {
  try {
    await client.create(probe, { dryRun: true })
    return undefined
  } catch (error) {
    if (!(error instanceof KithError)) throw error
    return /failed calling webhook "[^"]*(sidecar-injector|validation)\.istio\.io".*/.exec(error.message)?.[0]
  }
}
