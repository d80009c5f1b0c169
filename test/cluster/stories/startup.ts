// A figure, not a test (a busy machine would fail it). The bar: from `kubectl apply` of a Deployment to 2/2 at most 1.3 times what the same pod takes without a sidecar, plus 2 s.
import { apply, kubectl, makeNamespace, pods, until } from '../cluster.ts'
import type { Story } from './story.ts'

const rounds = 3
const deployment = (name: string): string => `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: httpbin
        image: kith.dev/httpbin:1
        readinessProbe: {httpGet: {path: /status/200, port: 80}, periodSeconds: 1}
`

async function secondsUntilReady(namespace: string, name: string, ready: string): Promise<number> {
  const fromMs = performance.now()
  apply(deployment(name), namespace)
  await until(`${name} in ${namespace}`, () => (pods(namespace, `app=${name}`).some((p) => p.ready === ready) ? undefined : 'is not ready'), 120_000, 50)
  const seconds = (performance.now() - fromMs) / 1000
  kubectl(`delete deployment ${name} -n ${namespace} --wait=true`)
  return seconds
}

interface Events {
  readonly items: readonly { readonly reason: string; readonly message: string }[]
}

function failedStarts(namespace: string): string[] {
  const { items } = JSON.parse(kubectl(`get events -n ${namespace} -o json`)) as Events
  return items.filter((e) => e.reason === 'Unhealthy' && e.message.startsWith('Startup probe failed')).map((e) => e.message)
}

const median = (all: readonly number[]): number => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] as number

export const startup: Story = {
  title: 'from apply to 2/2, measured',
  async run(say) {
    makeNamespace('plain')
    makeNamespace('meshed', { 'istio-injection': 'enabled' })
    const plain: number[] = []
    const meshed: number[] = []
    for (let i = 0; i < rounds; i++) {
      plain.push(await secondsUntilReady('plain', `timed-${i}`, '1/1'))
      meshed.push(await secondsUntilReady('meshed', `timed-${i}`, '2/2'))
    }
    say(`failed probes of sidecars while they started: ${failedStarts('meshed').join('; ') || 'none'}`)
    kubectl('delete namespace plain meshed --wait=false')
    const bar = 1.3 * median(plain) + 2
    say(`apply to ready, median of ${rounds}: ${median(plain).toFixed(2)} s without a sidecar, ${median(meshed).toFixed(2)} s to 2/2; bar ${bar.toFixed(2)} s, ${median(meshed) <= bar ? 'met' : 'MISSED'}`)
  },
}
