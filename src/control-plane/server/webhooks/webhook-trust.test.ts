// Which caBundles verify what is served: by bytes, by name, by what is in them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '#lib/log.ts'
import { selfSignedAuthority } from '#ca'
import { webhookConfigurations } from '#inject'
import { ServingCertificate } from '../serving-certificate.ts'
import { distrusted } from './webhook-trust.ts'

test('each webhook of ours whose caBundle does not verify the served certificate is named, with the reason', async () => {
  const authority = await selfSignedAuthority('cluster.local', Date.now())
  const other = await selfSignedAuthority('cluster.local', Date.now())
  const serving = new ServingCertificate(() => authority, ['istiod.istio-system.svc'], Date.now, silentLogger)
  await serving.renew()
  serving.close()
  const chain = serving.current?.certificate.toString() ?? ''
  const said = (namespace: string, caBundle?: string, revision = 'default'): string[] => {
    const options = { revision, namespace, ...(caBundle === undefined ? {} : { caBundle }) }
    const found = webhookConfigurations(options).flatMap((object) => distrusted(object, chain, Date.now()))
    return [...new Set(found.map((d) => d.reason))]
  }
  const rows: readonly (readonly [string, string | undefined, RegExp | undefined])[] = [
    ['istio-system', authority.roots, undefined],
    ['istio-system', other.roots + authority.roots, undefined],
    ['istio-system', undefined, /no caBundle yet/],
    ['istio-system', 'no certificate', /caBundle can’t be read/],
    ['istio-system', other.roots, /does not verify .*signature .*was not made by/],
    ['elsewhere', authority.roots, /does not name istiod\.elsewhere\.svc/],
  ]
  for (const [namespace, bundle, reason] of rows) {
    const reasons = said(namespace, bundle)
    if (reason === undefined) assert.deepEqual(reasons, [])
    else assert.match(reasons.join(), reason)
    assert.ok(reasons.length <= 1)
  }
  assert.match(said('istio-system', authority.roots, 'canary').join(), /does not name istiod-canary\.istio-system\.svc/)
  const late = webhookConfigurations({ revision: 'default', namespace: 'istio-system', caBundle: authority.roots })
  const tomorrow = late.flatMap((object) => distrusted(object, chain, Date.now() + 2 * 86_400_000))
  assert.match(tomorrow[0]?.reason ?? '', /valid from/)
  const foreign = { apiVersion: 'v1', kind: 'x', metadata: {}, webhooks: [{ name: 'other.example', clientConfig: {} }] }
  assert.deepEqual(distrusted(foreign, chain, Date.now()), [])
})
