// Ways into the mesh and out of it: kube-inject by hand, opting out, Jobs that finish, probes that hold under STRICT.
import assert from 'node:assert/strict'
import { apply, kith, kubectl, makeNamespace, pods, podsReady, until } from '../cluster.ts'
import { call } from '../calls.ts'
import type { Story } from './story.ts'

const sleepPod = (more: string): string => `
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: sleep, image: "kith.dev/sleep:1"${more}}]`

export const manualInjection: Story = {
  title: 'kith kube-inject -f - | kubectl apply -f -: in a namespace without a label',
  async run() {
    makeNamespace('manual')
    const deployment = `# kept\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: sleep, namespace: manual}\nspec:\n  selector: {matchLabels: {app: sleep}}\n  template:\n    metadata: {labels: {app: sleep}}${sleepPod('')}\n`
    const injected = kith('kube-inject -f -', { input: deployment })
    assert.match(injected, /# kept/)
    apply(injected)
    await podsReady('manual', '2/2', 1)
    const measured = call({ from: 'sleep.manual', to: 'http://httpbin.bar:8000/headers' })
    assert.deepEqual([measured.outcome, measured.client], ['mtls', 'spiffe://cluster.local/ns/manual/sa/default'])
    kubectl('delete namespace manual --wait=false')
  },
}

const job = (name: string): string => `
apiVersion: batch/v1
kind: Job
metadata: {name: ${name}, namespace: foo}
spec:
  backoffLimit: 2
  template:
    metadata: {labels: {app: ${name}}}${sleepPod(', command: [sh, -c, "until curl -fsS http://httpbin.bar:8000/headers | grep -q spiffe://cluster.local/ns/foo/; do sleep 0.2; done"]')}
      restartPolicy: OnFailure
`

export const jobs: Story = {
  title: 'a Job and a CronJob call into STRICT from inside the mesh, and complete',
  async run() {
    apply(job('once'))
    apply(`apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: often, namespace: foo}\nspec:\n  schedule: "* * * * *"\n  jobTemplate:\n    spec:${job('often').split('spec:').slice(1).join('spec:').replaceAll('\n', '\n    ')}`)
    kubectl('wait --for=condition=complete job/once -n foo --timeout=90s')
    // The clock's next minute would do; asking for one now is quicker.
    kubectl('create job often-now --from=cronjob/often -n foo')
    kubectl('wait --for=condition=complete job/often-now -n foo --timeout=90s')
    for (const name of ['once', 'often']) assert.match(kubectl(`get pods -n foo -l app=${name} -o jsonpath={.items[*].spec.initContainers[*].name},{.items[*].spec.containers[*].name}`), /istio-proxy/)
    kubectl('delete cronjob/often job/once -n foo')
  },
}

const classic = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: classic, namespace: foo}
spec:
  selector: {matchLabels: {app: classic}}
  template:
    metadata:
      labels: {app: classic}
      annotations: {sidecar.istio.io/nativeSidecar: "false", proxy.istio.io/config: "holdApplicationUntilProxyStarts: true"}${sleepPod('')}
---
${job('classic-once').trim().replace('metadata: {labels: {app: classic-once}}', 'metadata: {labels: {app: classic-once}, annotations: {sidecar.istio.io/nativeSidecar: "false"}}').replace('sleep 0.2; done', 'sleep 0.2; done; curl -fsS -X POST http://127.0.0.1:15020/quitquitquit')}
`

export const classicSidecars: Story = {
  title: 'a classic sidecar where a pod asks for one: the seed’s line names it, the application waits for it, a Job ends it',
  async run(say) {
    apply(classic)
    const [{ name } = { name: '' }] = await podsReady('foo', '2/2', 1, 'app=classic')
    const names = kubectl(`get pod ${name} -n foo -o jsonpath={.spec.containers[*].name}`)
    say(`{.spec.containers[*].name}: ${names}`)
    assert.deepEqual(names.split(' ').sort(), ['istio-proxy', 'sleep'])
    assert.equal(call({ from: 'classic.foo', to: 'http://httpbin.bar:8000/headers' }).outcome, 'mtls')
    kubectl('wait --for=condition=complete job/classic-once -n foo --timeout=90s')
    kubectl('delete deployment/classic job/classic-once -n foo')
  },
}

const redirected = (name: string, args: string): string => `
      - name: ${name}
        image: kith.dev/proxyv2:0.1.0
        args: [redirect, ${args}]
        securityContext: {runAsUser: 0, allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL], add: [NET_ADMIN]}}`

export const redirection: Story = {
  title: 'the redirect needs NET_ADMIN alone, may be done twice, and is found to hold',
  async run() {
    const flags = '-p, "15001", -z, "15006", -u, "1337", -m, REDIRECT, -i, "*", -b, "*", -d, "15090,15021,15020"'
    apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: redirect, namespace: legacy}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      initContainers:${redirected('first', flags)}${redirected('again', `${flags}, --run-validation`)}
      containers:
      - name: as-the-sidecar
        image: kith.dev/proxyv2:0.1.0
        args: [redirect, ${flags}, --run-validation, --skip-rule-apply]
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`)
    await until('redirect', () => {
      const { conditions } = JSON.parse(kubectl('get job redirect -n legacy -o jsonpath={.status}')) as { conditions?: { type: string }[] }
      return conditions === undefined || conditions.length === 0 ? 'runs still' : undefined
    }, 60_000)
    const logs = (container: string): string => kubectl(`logs job/redirect -n legacy -c ${container}`)
    assert.equal(logs('first').replace(/^rules applied.*\n/m, ''), logs('again').replace(/^(rules applied|the rules hold).*\n/gm, ''))
    for (const container of ['again', 'as-the-sidecar']) assert.match(logs(container), /the rules hold/)
    kubectl('delete job redirect -n legacy')
  },
}

const probed = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: probed, namespace: bar}
spec:
  selector: {matchLabels: {app: probed}}
  template:
    metadata: {labels: {app: probed}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: kith.dev/httpbin:1
        command: [node, /app/probed.ts]
        ports: [{name: http, containerPort: 8080}]
        startupProbe: {tcpSocket: {port: 8081}, periodSeconds: 1}
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
      - name: grpc
        image: kith.dev/sleep:1
        livenessProbe: {grpc: {port: 8082}, periodSeconds: 1, failureThreshold: 10, initialDelaySeconds: 2}
`

interface Seen {
  readonly http: number
  readonly tcp: number
  readonly grpc: number
  readonly agent: string
}

export const probes: Story = {
  title: 'probes of every kind reach the application though its namespace is STRICT',
  async run(say) {
    apply(probed)
    await podsReady('bar', '3/3', 1, 'app=probed')
    const seen = (): Seen => JSON.parse(kubectl('exec -n bar deploy/probed -c web -- node -p fetch("http://127.0.0.1:8080/seen").then(r=>r.text()).then(console.log),""').trim()) as Seen
    await until('probes', () => {
      const now = seen()
      return now.http > 1 && now.tcp > 0 && now.grpc > 1 ? undefined : `the application has seen ${JSON.stringify(now)}`
    }, 30_000)
    say(`the application has seen ${JSON.stringify(seen())}`)
    assert.match(seen().agent, /^kube-probe/)
    assert.deepEqual(pods('bar', 'app=probed').map((p) => p.ready), ['3/3'])
    assert.equal(kubectl('get pods -n bar -l app=probed -o jsonpath={.items[*].status.containerStatuses[*].restartCount}').replaceAll(/[0 ]/g, ''), '')
    kubectl('delete deployment probed -n bar')
  },
}
