// Tokens of end users, and a key from a Secret. Only a real API server shows the latter: who may read which Secret, the control plane and the workload's account alike.
import assert from 'node:assert/strict'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { newRootFiles } from '#ca'
import { apply, kubectl, tryKubectl, until } from '../cluster.ts'
import type { Story } from './story.ts'

const issuer = 'https://issuer.example.com'
const host = 'external-service.example.com'

/** The status that sleep.foo gets; '000' where there was no answer. */
const ask = (url: string, ...more: readonly string[]): string => tryKubectl(['exec', '-n', 'foo', 'deploy/sleep', '-c', 'sleep', '--', 'curl', '-s', '-o', '/dev/null', '-m', '5', '-w', '%{http_code}', ...more, url]).stdout

async function answers(what: string, status: string, question: () => string, timeoutMs = 30_000): Promise<void> {
  await until(what, () => {
    const got = question()
    return got === status ? undefined : `the answer is ${got}, not ${status}`
  }, timeoutMs)
}

const secretRoles = `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: mesh-credentials, namespace: foo}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [external, external-cacert], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: mesh-credentials, namespace: foo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: mesh-credentials}
subjects: [{kind: ServiceAccount, name: istiod, namespace: istio-system}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-secrets, namespace: foo}
rules: [{apiGroups: [""], resources: [secrets], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sleep-reads-secrets, namespace: foo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-secrets}
subjects: [{kind: ServiceAccount, name: sleep, namespace: foo}]
`

export const tokens: Story = {
  title: 'a token is asked for and checked',
  async run(say) {
    const [own, strange] = await Promise.all([generateKeyPair('ES256'), generateKeyPair('ES256')])
    const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(own.publicKey)), kid: 'a', alg: 'ES256' }] })
    const token = (key = own.privateKey, expires = '10m'): Promise<string> => new SignJWT({}).setProtectedHeader({ alg: 'ES256', kid: 'a' }).setIssuer(issuer).setSubject('ann').setExpirationTime(expires).sign(key)
    const selector = 'selector: {matchLabels: {app: httpbin}}'
    const policies = `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: bar}
spec: {${selector}, jwtRules: [{issuer: "${issuer}", jwks: '${jwks}'}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: tokens, namespace: bar}
spec: {${selector}, rules: [{from: [{source: {requestPrincipals: ["${issuer}/ann"]}}]}]}
`
    apply(policies)
    const call = (bearer?: string): string => ask('http://httpbin.bar:8000/headers', ...(bearer === undefined ? [] : ['-H', `authorization: Bearer ${bearer}`]))
    await answers('without a token', '403', call)
    const rows = [['a good one', await token(), '200'], ['one that has ended', await token(own.privateKey, '-10m'), '401'], ['one of another key', await token(strange.privateKey), '401']] as const
    for (const [what, bearer, status] of rows) assert.equal(call(bearer), status, what)
    say(['none: 403', ...rows.map(([what, , status]) => `${what}: ${status}`)].join('\n'))
    kubectl('delete -f -', { input: policies })
    await answers('without policies', '200', call)
  },
}

export const credentials: Story = {
  title: 'credentialName: a certificate from a Secret, once its namespace lets the control plane read it',
  async run(say) {
    const ca = kubectl('get configmap external-ca -n foo -o jsonpath={.data.ca\\.pem}')
    const client = await newRootFiles('client', Date.now())
    apply(JSON.stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'external', namespace: 'foo' }, stringData: { cert: client['ca-cert.pem'], key: client['ca-key.pem'], cacert: ca } }))
    apply(`
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: by-secret, namespace: foo}
spec:
  host: ${host}
  workloadSelector: {matchLabels: {app: sleep}}
  trafficPolicy: {tls: {mode: MUTUAL, credentialName: external, sni: ${host}, subjectAltNames: [${host}]}}
`)
    const call = (): string => ask(`http://${host}:443/`)
    await answers('nobody may read the Secret', '503', call)
    apply(secretRoles)
    // A refusal counts for a minute.
    await answers('the Secret may be read', '200', call, 120_000)
    say('503 until istiod may read the Secret and sleep’s account too, then 200')
    kubectl('delete destinationrule/by-secret secret/external role/mesh-credentials role/reads-secrets rolebinding/mesh-credentials rolebinding/sleep-reads-secrets -n foo')
    await answers('without the rule', '200', call)
  },
}
