// Another mutating webhook runs after ours and adds a container: ours is asked again (reinvocationPolicy IfNeeded), and what was added is served like the rest.
import 'reflect-metadata'
import assert from 'node:assert/strict'
import { KeyObject } from 'node:crypto'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import { ecdsaP256, issueCertificate, selfSignedAuthority } from '#ca'
import { apply, kubectl, makeNamespace, podsReady } from '../cluster.ts'
import type { Story } from './story.ts'

async function servingFiles(name: string): Promise<{ readonly ca: string; readonly certificate: string; readonly key: string }> {
  const authority = await selfSignedAuthority('another-team', Date.now())
  const keys = await crypto.subtle.generateKey(ecdsaP256, true, ['sign', 'verify'])
  const csr = (await Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: ecdsaP256 })).toString('pem')
  const chain = await issueCertificate(authority, { csr, names: [{ type: 'dns', value: name }], lifetimeMs: 3_600_000, nowMs: Date.now() })
  return { ca: authority.roots, certificate: chain[0] as string, key: KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string }
}

const server = (files: { certificate: string; key: string }): string => JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [
  { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'second-webhook', namespace: 'legacy' }, stringData: { 'tls.crt': files.certificate, 'tls.key': files.key } },
  { apiVersion: 'v1', kind: 'Service', metadata: { name: 'second-webhook', namespace: 'legacy' }, spec: { selector: { app: 'second-webhook' }, ports: [{ port: 443, targetPort: 8443 }] } },
  {
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'second-webhook', namespace: 'legacy', labels: { app: 'second-webhook' } },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'server', image: 'kith.dev/httpbin:1', command: ['node', '/app/second-webhook.ts'], readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 }, volumeMounts: [{ name: 'tls', mountPath: '/tls' }] }], volumes: [{ name: 'tls', secret: { secretName: 'second-webhook' } }] },
  },
] })

/** Its name sorts behind ours, and so it runs later. */
const configuration = (ca: string): string => JSON.stringify({
  apiVersion: 'admissionregistration.k8s.io/v1', kind: 'MutatingWebhookConfiguration', metadata: { name: 'zz-second' },
  webhooks: [{
    name: 'second.example.com', clientConfig: { service: { name: 'second-webhook', namespace: 'legacy' }, caBundle: Buffer.from(ca).toString('base64') }, admissionReviewVersions: ['v1'], sideEffects: 'None', failurePolicy: 'Fail',
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'second' } }, rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
  }],
})

interface Pod {
  readonly spec: { readonly containers: readonly { readonly name: string; readonly readinessProbe?: { readonly httpGet?: { readonly path: string; readonly port: number } }; readonly env?: readonly { readonly name: string; readonly value?: string }[] }[]; readonly initContainers?: Pod['spec']['containers'] }
}

export const secondWebhook: Story = {
  title: 'another webhook adds a container after ours: it is asked again, the container’s probe holds under STRICT',
  async run(say) {
    const files = await servingFiles('second-webhook.legacy.svc')
    apply(server(files))
    await podsReady('legacy', '1/1', 1, 'app=second-webhook')
    makeNamespace('second', { 'istio-injection': 'enabled' })
    apply(JSON.stringify({ apiVersion: 'security.istio.io/v1', kind: 'PeerAuthentication', metadata: { name: 'default', namespace: 'second' }, spec: { mtls: { mode: 'STRICT' } } }))
    apply(configuration(files.ca))
    apply('apiVersion: v1\nkind: Pod\nmetadata: {name: joined, namespace: second}\nspec:\n  terminationGracePeriodSeconds: 1\n  containers: [{name: sleep, image: "kith.dev/sleep:1"}]\n')
    await podsReady('second', '3/3', 1)
    const { spec } = JSON.parse(kubectl('get pod joined -n second -o json')) as Pod
    const all = [...(spec.initContainers ?? []), ...spec.containers]
    say(`containers: ${all.map((c) => c.name).join(' ')}`)
    assert.deepEqual(all.map((c) => c.name).sort(), ['helper', 'istio-init', 'istio-proxy', 'sleep'])
    assert.deepEqual(all.find((c) => c.name === 'helper')?.readinessProbe?.httpGet?.path, '/app-health/helper/readyz')
    assert.match(all.find((c) => c.name === 'istio-proxy')?.env?.find((e) => e.name === 'ISTIO_KUBE_APP_PROBERS')?.value ?? '', /app-health\/helper\/readyz.*8090/)
    kubectl('delete mutatingwebhookconfiguration zz-second')
    kubectl('delete pod/second-webhook service/second-webhook secret/second-webhook -n legacy --wait=false')
    kubectl('delete namespace second --wait=false')
  },
}
