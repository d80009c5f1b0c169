// The walkthrough as data: what each step applies, which calls it makes, what there is to try next.

export interface DemoCall {
  /** `sleep.foo` */
  readonly from: string
  readonly to: string
}

export interface DemoStep {
  readonly title: string
  /** One or two sentences: what this step shows. */
  readonly shows: string
  /** Files of the walkthrough's folder; applied in this order. */
  readonly apply: readonly string[]
  /** Files whose objects are removed before the calls. */
  readonly remove: readonly string[]
  readonly calls: readonly DemoCall[]
  /** Calls whose explanation is printed whole. */
  readonly explain: readonly DemoCall[]
  /** Also shows the pods, and checks READY against what injection decided. */
  readonly pods?: boolean
  /** Commands worth trying in the mesh as it is after this step. */
  readonly tryNext: readonly string[]
}

const namespaces = ['foo', 'bar', 'legacy']
const servers = namespaces.map((n) => `http://httpbin.${n}:8000/headers`)
const nineCalls = namespaces.flatMap((n) => servers.map((to) => ({ from: `sleep.${n}`, to })))
const fromLegacy = ['foo', 'bar'].map((n) => ({ from: 'sleep.legacy', to: `http://httpbin.${n}:8000/headers` }))
const fooToBar = { from: 'sleep.foo', to: 'http://httpbin.bar:8000/get' }

export const meshFile = 'mesh.yaml'

export const steps: readonly DemoStep[] = [
  {
    title: 'Nothing configured: PERMISSIVE',
    shows: 'foo and bar are injected, legacy is not. Everybody reaches everybody; wherever both ends have a sidecar the call is mutual TLS, of itself.',
    apply: [],
    remove: [],
    calls: nineCalls,
    explain: [],
    tryNext: ['kith exec -n foo deploy/sleep -- curl -s http://httpbin.bar:8000/headers', 'kith ps -A'],
  },
  {
    title: 'STRICT in foo and bar',
    shows: 'A PeerAuthentication per namespace. legacy has no sidecar, so it has no certificate to show: its two calls into foo and bar now end, the other seven go on.',
    apply: ['peer-authentication.yaml'],
    remove: [],
    calls: nineCalls,
    explain: [],
    tryNext: ['kith explain sleep.legacy http://httpbin.foo:8000/get', 'kith logs -n foo deploy/httpbin -c istio-proxy'],
  },
  {
    title: 'DestinationRules that ask for mutual TLS',
    shows: 'ISTIO_MUTUAL towards both services says in writing what the mesh does by itself already.',
    apply: ['destination-rule.yaml'],
    remove: [],
    calls: nineCalls,
    explain: [],
    tryNext: ['kith explain sleep.foo http://httpbin.bar:8000/get'],
  },
  {
    title: 'A workload’s exception',
    shows: 'httpbin.foo alone is PERMISSIVE again: the workload’s policy beats its namespace’s. bar stays STRICT.',
    apply: ['workload-policy.yaml'],
    remove: [],
    calls: fromLegacy,
    explain: [],
    tryNext: ['kith explain sleep.legacy http://httpbin.foo:8000/get'],
  },
  {
    title: 'A DestinationRule that breaks a call, explained',
    shows: 'sleep.foo is told to speak plaintext to bar, where STRICT holds. kith explain says which line did it, and what to do.',
    apply: ['disable-bar.yaml'],
    remove: [],
    calls: [fooToBar, { from: 'sleep.bar', to: fooToBar.to }],
    explain: [fooToBar],
    tryNext: [],
  },
  {
    title: 'Routing first, policy after',
    shows: 'The faulty rule is gone. A VirtualService sends httpbin.foo’s /anything to httpbin.bar: the call is secured by what holds for bar, and it is bar that proves its name.',
    apply: ['virtual-service.yaml'],
    remove: ['disable-bar.yaml'],
    calls: [
      { from: 'sleep.foo', to: 'http://httpbin.foo:8000/anything' },
      { from: 'sleep.foo', to: 'http://httpbin.foo:8000/headers' },
      fooToBar,
    ],
    explain: [],
    tryNext: ['kith exec -n foo deploy/sleep -- curl -s http://httpbin.foo:8000/anything'],
  },
  {
    title: 'A service outside the mesh: DISABLE',
    shows: 'external-service.example.com is known by a ServiceEntry. With DISABLE the sidecar passes on what the application says.',
    apply: ['external-service.yaml', 'external-disable.yaml'],
    remove: [],
    calls: [{ from: 'sleep.foo', to: 'http://external-service.example.com/' }],
    explain: [],
    tryNext: [],
  },
  {
    title: 'A service outside the mesh: SIMPLE',
    shows: 'The application still speaks plain HTTP; the sidecar makes TLS of it and checks the server’s certificate against the CA that the rule names.',
    apply: ['external-simple.yaml'],
    remove: [],
    calls: [{ from: 'sleep.foo', to: 'http://external-service.example.com:443/' }],
    explain: [],
    tryNext: [],
  },
  {
    title: 'Staying outside',
    shows: 'Two pods of foo opted out of injection, one by label, one by annotation: READY 1/1, the others 2/2.',
    apply: ['opted-out.yaml'],
    remove: [],
    calls: [
      { from: 'pod/opted-out-by-label.foo', to: 'http://httpbin.foo:8000/headers' },
      { from: 'pod/opted-out-by-annotation.foo', to: 'http://httpbin.bar:8000/headers' },
    ],
    explain: [],
    pods: true,
    tryNext: ['kith ps -A', 'kith check-inject -n foo opted-out-by-label'],
  },
]
