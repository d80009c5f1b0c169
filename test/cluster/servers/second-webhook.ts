// Another team's mutating webhook: it adds a container with a probe to every pod that it sees, and does not look whether a mesh was there before.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

interface Review {
  readonly request: { readonly uid: string; readonly object: { readonly spec: { readonly containers: readonly { readonly name: string }[] } } }
}

const helper = { name: 'helper', image: 'kith.dev/httpbin:1', env: [{ name: 'PORT', value: '8090' }], ports: [{ containerPort: 8090 }], readinessProbe: { httpGet: { path: '/status/200', port: 8090 }, periodSeconds: 1 } }

createServer({ key: readFileSync('/tls/tls.key'), cert: readFileSync('/tls/tls.crt') }, (request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (c: Buffer) => chunks.push(c)).on('end', () => {
    const { uid, object } = (JSON.parse(Buffer.concat(chunks).toString('utf8')) as Review).request
    const patch = object.spec.containers.some((c) => c.name === helper.name) ? [] : [{ op: 'add', path: '/spec/containers/-', value: helper }]
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: { uid, allowed: true, patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') } }))
  })
}).listen(8443)
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0))
