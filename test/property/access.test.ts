// Who may call: explain (plan → RBAC → engine) against a reading of AuthorizationPolicy that shares no code with it, over drawn policies, callers and calls.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { canonicalJson } from '#lib/canonical.ts'
import { explain } from '#insight'
import { buildMesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'

interface Source { principals?: string[]; notPrincipals?: string[]; namespaces?: string[]; notNamespaces?: string[]; serviceAccounts?: string[]; requestPrincipals?: string[] }
interface Operation { methods?: string[]; notMethods?: string[]; paths?: string[]; notPaths?: string[]; ports?: string[]; notPorts?: string[]; hosts?: string[]; notHosts?: string[] }
interface Condition { key: string; values?: string[]; notValues?: string[] }
interface Rule { from?: { source: Source }[]; to?: { operation: Operation }[]; when?: Condition[] }
interface Policy { name: string; namespace: string; app?: string; action?: 'ALLOW' | 'DENY'; dryRun: boolean; rules?: Rule[] }
interface Facts { principal: string | null; method: string; path: string; host: string; port: string; user: readonly string[]; http: boolean }

const some = (...values: string[]): fc.Arbitrary<string[]> => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 })
const part = <T>(of: { [K in keyof T]-?: fc.Arbitrary<NonNullable<T[K]>> }): fc.Arbitrary<T> => fc.record(of, { requiredKeys: [] }).filter((v) => Object.keys(v).length > 0) as unknown as fc.Arbitrary<T>
const principals = some('cluster.local/ns/foo/sa/web', 'cluster.local/ns/foo/*', '*/sa/web', '*', 'cluster.local/ns/bar/sa/other')
const namespaces = some('foo', 'b*', '*', '*r', 'fo')
const paths = some('/', '/api/x', '/api/*', '*/x', '/api/{*}', '/{**}/x', '*')
const methods = some('GET', 'POST', '*', 'P*')
const hosts = some('web.bar:8000', 'WEB.*', '*:8000', 'web.bar', '*')
const ports = some('80', '9000', '8000')
const source = part<Source>({ principals, notPrincipals: principals, namespaces, notNamespaces: namespaces, serviceAccounts: some('foo/web', 'web', 'bar/other'), requestPrincipals: some('*', 'issuer/subject') })
const operation = part<Operation>({ methods, notMethods: methods, paths, notPaths: paths, ports, notPorts: ports, hosts, notHosts: hosts })
const condition = fc.constantFrom<[string, string[]]>(['source.principal', ['*', 'cluster.local/ns/foo/sa/web']], ['source.namespace', ['foo', 'b*']], ['destination.port', ['80', '9000']], ['request.headers[user]', ['ann', 'a*', '*', '*b']])
  .chain(([key, values]) => fc.record({ values: some(...values), negated: fc.boolean() }).map(({ values: v, negated }): Condition => ({ key, ...(negated ? { notValues: v } : { values: v }) })))
const few = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(of, { minLength: 1, maxLength: 2 })
const rule = fc.oneof(
  { weight: 1, arbitrary: fc.constant<Rule>({}) },
  { weight: 8, arbitrary: part<Rule>({ from: few(source.map((s) => ({ source: s }))), to: few(operation.map((o) => ({ operation: o }))), when: few(condition) }) },
)
const policy: fc.Arbitrary<Policy> = fc.record({
  name: fc.constantFrom('a', 'b', 'c'), namespace: fc.constantFrom('bar', 'bar', 'istio-system', 'foo'), dryRun: fc.nat(9).map((n) => n === 0), rules: fc.array(rule, { maxLength: 2 }),
  action: fc.constantFrom('ALLOW' as const, 'DENY' as const), app: fc.constantFrom('web', 'other'), selects: fc.boolean(),
}).map(({ app, selects, ...p }) => ({ ...p, ...(selects ? { app } : {}) }))
const policies = fc.uniqueArray(policy, { minLength: 1, maxLength: 3, selector: (p) => `${p.namespace}/${p.name}` })
const call = fc.record({ from: fc.constantFrom('web.foo', 'other.foo', 'other.bar', 'web.legacy'), http: fc.boolean(), method: fc.constantFrom('GET', 'POST', 'PUT'), path: fc.constantFrom(['/'], ['/api/x'], ['/api/a/x'], ['/other?q=/x'], ['/other/../api/./x', '/api/x'], ['/%61pi/x?q=/../y', '/api/x?q=/../y']), user: fc.constantFrom<readonly string[]>([], ['ann'], ['bob'], ['ann', 'ann'], ['ann', 'bob'], ['bob', 'ann'], ['ann, bob'], ['bob,ann '], ['a', 'xb'], ['']) })

const workload = (namespace: string, name: string): object => ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec: { template: { metadata: { labels: { app: name } }, spec: { serviceAccountName: name, containers: [{ name }] } } } })
const base = ['foo', 'bar', 'legacy'].flatMap((namespace) => [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, ...(namespace === 'legacy' ? {} : { labels: { 'istio-injection': 'enabled' } }) } },
  workload(namespace, 'web'), workload(namespace, 'other'),
  { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 8000, targetPort: 80 }, { name: 'tcp-raw', port: 9000 }] } },
])
const objectOf = ({ name, namespace, app, action, dryRun, rules }: Policy): object => ({
  apiVersion: 'security.istio.io/v1', kind: 'AuthorizationPolicy', metadata: { name, namespace, ...(dryRun ? { annotations: { 'istio.io/dry-run': 'true' } } : {}) },
  spec: { ...(app === undefined ? {} : { selector: { matchLabels: { app } } }), ...(action === undefined ? {} : { action }), ...(rules === undefined || rules.length === 0 ? {} : { rules }) },
})

// The reading: istio.io's reference of AuthorizationPolicy, sentence by sentence.
const like = (pattern: string, value: string): boolean => (pattern === '*' ? value !== '' : pattern.startsWith('*') ? value.endsWith(pattern.slice(1)) : pattern.endsWith('*') ? value.startsWith(pattern.slice(0, -1)) : value === pattern)
const segments = (template: string, path: string): boolean => {
  const [t, p] = [template.split('/'), path.split('/')]
  const walk = (i: number, j: number): boolean => {
    if (i === t.length) return j === p.length
    if (t[i] === '{**}') return p.slice(j).some((_, n) => walk(i + 1, j + n + 1))
    return j < p.length && (t[i] === '{*}' ? p[j] !== '' : t[i] === p[j]) && walk(i + 1, j + 1)
  }
  return walk(0, 0)
}
const namespaceOf = (f: Facts): string | null => f.principal?.split('/')[2] ?? null
const accountOf = (f: Facts): string | null => (f.principal === null ? null : `${namespaceOf(f)}/${f.principal.split('/')[4]}`)
/** Each attribute: whether it is HTTP's, and whether one value holds. */
const attributes: Readonly<Record<string, { http: boolean; holds: (value: string, f: Facts, policy: Policy) => boolean }>> = {
  principals: { http: false, holds: (v, f) => f.principal !== null && like(v, f.principal) },
  namespaces: { http: false, holds: (v, f) => namespaceOf(f) !== null && (v === '*' || like(v, namespaceOf(f) ?? '')) },
  serviceAccounts: { http: false, holds: (v, f, p) => accountOf(f) === (v.includes('/') ? v : `${p.namespace}/${v}`) },
  requestPrincipals: { http: true, holds: () => false },
  methods: { http: true, holds: (v, f) => like(v, f.method) },
  paths: { http: true, holds: (v, f) => (v.includes('{') ? segments(v, f.path.split('?')[0] ?? '') : like(v, f.path.split('?')[0] ?? '')) },
  hosts: { http: true, holds: (v, f) => like(v.toLowerCase(), f.host.toLowerCase()) },
  ports: { http: false, holds: (v, f) => v === f.port },
  'source.principal': { http: false, holds: (v, f) => f.principal !== null && like(v, f.principal) },
  'source.namespace': { http: false, holds: (v, f) => namespaceOf(f) !== null && like(v, namespaceOf(f) ?? '') },
  'destination.port': { http: false, holds: (v, f) => v === f.port },
  'request.headers[user]': { http: true, holds: () => false },
}
/** `lenient`: where a match denies, any line, any value of a list or the joined value will do; else every line has to be one of `values`. `*` asks for presence. */
function headerHolds(values: readonly string[], lines: readonly string[], lenient: boolean): boolean {
  const one = (line: string): boolean => values.some((v) => v === '*' || like(v, line))
  const all = [...lines, lines.join(','), ...lines.flatMap((l) => l.split(',').map((m) => m.trim()).filter((m) => m !== ''))]
  return lines.length > 0 && (lenient ? all.some(one) : lines.every(one))
}
/** undefined: it can't be asked of a connection that isn't HTTP. */
function asked(name: string, values: readonly string[], negated: boolean, f: Facts, p: Policy): boolean | undefined {
  const attribute = attributes[name]
  assert.ok(attribute !== undefined, name)
  if (attribute.http && !f.http) return undefined
  if (name === 'request.headers[user]') return headerHolds(values, f.user, (p.action === 'DENY') !== negated) !== negated
  return values.some((v) => attribute.holds(v, f, p)) !== negated
}
const fieldsHold = (fields: object, f: Facts, p: Policy): (boolean | undefined)[] => Object.entries(fields).map(([key, values]) => {
  const negated = key.startsWith('not')
  const name = negated ? key.charAt(3).toLowerCase() + key.slice(4) : key
  return asked(name, values as string[], negated, f, p)
})
function ruleHolds({ from, to, when = [] }: Rule, f: Facts, p: Policy): boolean {
  const groups = [from?.map((s) => fieldsHold(s.source, f, p)), to?.map((o) => fieldsHold(o.operation, f, p))].filter((g) => g !== undefined)
  const conditions = when.map((w) => asked(w.key, w.values ?? w.notValues ?? [], w.values === undefined, f, p))
  // An ALLOW rule that asks what can't be asked allows nothing; a DENY rule denies without that test.
  if (p.action !== 'DENY' && [...groups.flat(2), ...conditions].includes(undefined)) return false
  return groups.every((any) => any.some((all) => all.every((t) => t !== false))) && conditions.every((t) => t !== false)
}
const holding = (p: Policy, f: Facts): string[] => (p.rules ?? []).flatMap((r, i) => (ruleHolds(r, f, p) ? [`${p.namespace}/${p.name} spec.rules[${i}]`] : []))

test('allowed or denied, and by which rule, is what the reference says', () => {
  fc.assert(fc.property(policies, call, (drawn, c) => {
    const decoded = decodeObjects(parseYaml([...base, ...drawn.map(objectOf)].map((o) => canonicalJson(o)).join('\n---\n'), 'in.yaml').documents)
    fc.pre(decoded.problems.every((p) => p.severity !== 'error'))
    const [name, namespace] = c.from.split('.') as [string, string]
    const facts: Facts = { principal: namespace === 'legacy' ? null : `cluster.local/ns/${namespace}/sa/${name}`, method: c.method, path: c.path[1] ?? (c.path[0] as string), host: 'web.bar:8000', port: c.http ? '80' : '9000', user: c.user, http: c.http }
    const inForce = drawn.filter((p) => !p.dryRun && p.namespace !== 'foo' && p.app !== 'other')
    const of = (action: string): Policy[] => inForce.filter((p) => (p.action ?? 'ALLOW') === action)
    const denying = of('DENY').flatMap((p) => holding(p, facts))
    const allowing = of('ALLOW').flatMap((p) => holding(p, facts))
    const expected = denying.length > 0 || (of('ALLOW').length > 0 && allowing.length === 0) ? 'deny' : 'allow'

    const answer = explain(buildMesh(decoded.objects), { from: c.from, to: c.http ? `http://web.bar:8000${c.path[0]}` : 'tcp://web.bar:9000', method: c.method, headers: { User: c.user } })
    const said = answer.server?.authorization
    assert.equal(said?.value, expected)
    assert.equal(answer.outcome === 'blocked', expected === 'deny', answer.outcome)
    const first = said?.because[0]
    const named = first?.source === 'default' || first === undefined ? '' : `${first.source.namespace}/${first.source.name} ${first.source.path ?? ''}`
    if (first?.rule === 'authorization.deny') assert.ok(denying.includes(named), named)
    if (first?.rule === 'authorization.allow') assert.ok(allowing.includes(named), named)
    if (first?.rule === 'authorization.none-allows') assert.equal(allowing.length, 0)
  }), { numRuns: 200 })
})
