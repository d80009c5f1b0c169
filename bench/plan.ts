// How long it takes to parse, decode and plan a large mesh for one proxy.
//   node bench/plan.ts [DOCUMENTS]     default 5000: a quarter Services, a quarter Deployments, the rest policies
import { decodeObjects, parseYaml } from '#sources'
import { buildMesh } from '#mesh'
import { planContext, planEndpoints, planFrom } from '#plan'
import { generate } from '#generate'

const count = Number(process.argv[2] ?? 5000)
const each = Math.floor(count / 6)
const documents: string[] = ['{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {istio-injection: enabled}}}']
for (let i = 0; i < each; i++) {
  const name = `app-${i}`
  documents.push(
    `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  selector: {app: ${name}}\n  ports:\n  - {name: http, port: 8000, targetPort: 80}`,
    `apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  template:\n    metadata: {labels: {app: ${name}}}\n    spec: {containers: [{name: ${name}, ports: [{containerPort: 80}]}]}`,
    `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  host: ${name}\n  trafficPolicy:\n    loadBalancer: {simple: ROUND_ROBIN}\n  subsets:\n  - {name: v1, labels: {version: v1}}`,
    `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  hosts: [${name}]\n  http:\n  - match:\n    - uri: {prefix: /api}\n    route:\n    - destination: {host: ${name}, port: {number: 8000}}\n  - route:\n    - destination: {host: ${name}, port: {number: 8000}}`,
    `apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: ${name}, namespace: shop}\nspec:\n  selector:\n    matchLabels: {app: ${name}}\n  mtls: {mode: STRICT}`,
    `apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: ${name}, namespace: shop}`,
  )
}
const text = documents.join('\n---\n')
const from = process.cpuUsage()
const cpuMs = (): number => Math.round((process.cpuUsage(from).user + process.cpuUsage(from).system) / 1000)
const step = (what: string): void => void process.stdout.write(`${what.padEnd(28)} ${cpuMs()} ms CPU\n`)

const parsed = parseYaml(text, 'bench.yaml')
step(`${parsed.documents.length} documents parsed`)
const { objects, problems } = decodeObjects(parsed.documents)
step(`${objects.length} decoded, ${problems.length} problems`)
const mesh = buildMesh(objects)
step('mesh built')
const context = planContext(mesh, mesh.workloads[0] as never)
const plan = planFrom(context)
step(`${plan.upstreams.length} upstreams planned`)
const endpoints = planEndpoints(context, plan)
step(`${endpoints.length} endpoint lists planned`)
step(`${generate(plan).length} resources generated`)
