// TLS that an application sends, where a DestinationRule has the sidecar make TLS: each form of it, and the
// forms that are right. And hints of what is odd without being an end.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildMesh, type Mesh } from '#mesh'
import { decodeObjects, parseYaml } from '#sources'
import { explain } from './explain.ts'

const base = `
{apiVersion: v1, kind: Namespace, metadata: {name: foo, labels: {istio-injection: enabled}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: foo}, spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web}]}}}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: old, namespace: foo}, spec: {selector: {matchLabels: {app: old}}, template: {metadata: {labels: {app: old, sidecar.istio.io/inject: 'false'}}, spec: {containers: [{name: web}]}}}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: foo}, spec: {selector: {app: web}, ports: [{name: https, port: 443}, {name: http, port: 80}, {name: any, port: 7000}, {name: tcp-sql, port: 3306}]}}
`
const host = 'api.example.com'
const entry = (ports: string): string =>
  `{apiVersion: networking.istio.io/v1, kind: ServiceEntry, metadata: {name: e, namespace: foo}, spec: {hosts: [${host}], resolution: DNS, ports: [${ports}]}}`
const https = '{number: 443, name: s, protocol: HTTPS}'
const rule = (policy: string, to = host): string =>
  `{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: {name: d, namespace: foo}, spec: {host: ${to}, trafficPolicy: {${policy}}}}`
const mode = (m: string): string => `tls: {mode: ${m}, clientCertificate: /a, privateKey: /b}`

function mesh(objects: readonly string[]): Mesh {
  const { objects: decoded, problems } = decodeObjects(
    parseYaml([base, ...objects].join('\n---\n'), 'in.yaml').documents,
  )
  assert.deepEqual(
    problems.filter((p) => p.severity === 'error'),
    [],
  )
  return buildMesh(decoded)
}

// Objects, target, outcome, end.
const forms: readonly (readonly [string, readonly string[], string, string, string | undefined])[] = [
  ...['SIMPLE', 'MUTUAL', 'ISTIO_MUTUAL'].flatMap((m) =>
    ['HTTPS', 'TLS'].map(
      (p) =>
        [
          `${p} with ${m}`,
          [entry(https.replace('HTTPS', p)), rule(mode(m))],
          `https://${host}/`,
          'blocked',
          'tls-in-tls',
        ] as const,
    ),
  ),
  [
    'by the port’s own settings',
    [entry(https), rule('portLevelSettings: [{port: {number: 443}, tls: {mode: SIMPLE}}]')],
    `https://${host}/`,
    'blocked',
    'tls-in-tls',
  ],
  ['SIMPLE to a service of the mesh', [rule(mode('SIMPLE'), 'web')], 'https://web/', 'blocked', 'tls-in-tls'],
  ['no rule', [entry(https)], `https://${host}/`, 'plaintext', undefined],
  [
    'a rule with DISABLE',
    [entry(https), rule('tls: {mode: DISABLE}')],
    `https://${host}/`,
    'plaintext',
    undefined,
  ],
  [
    'a credential that counts nowhere',
    [entry(https), rule('tls: {mode: SIMPLE, credentialName: c}')],
    `https://${host}/`,
    'plaintext',
    undefined,
  ],
  [
    'the mesh’s own mutual TLS around the application’s',
    [rule('tls: {mode: ISTIO_MUTUAL}', 'web')],
    'https://web/',
    'mtls',
    undefined,
  ],
  ['the mesh’s own, automatic', [], 'https://web/', 'mtls', undefined],
  [
    'targetPort: plaintext to port 80 becomes TLS to 443',
    [
      entry(`${https}, {number: 80, name: h, protocol: HTTP, targetPort: 443}`),
      rule('portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]'),
    ],
    `http://${host}/`,
    'tls',
    undefined,
  ],
  [
    'targetPort, and the application’s own TLS on 443',
    [
      entry(`${https}, {number: 80, name: h, protocol: HTTP, targetPort: 443}`),
      rule('portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]'),
    ],
    `https://${host}/`,
    'plaintext',
    undefined,
  ],
  [
    '443 of HTTP, called in plaintext',
    [entry('{number: 443, name: h, protocol: HTTP}'), rule(mode('SIMPLE'))],
    `http://${host}:443/`,
    'tls',
    undefined,
  ],
]

test('double TLS: which calls fail, why, and what to change', () => {
  for (const [what, objects, to, outcome, end] of forms) {
    const answer = explain(mesh(objects), { from: 'web.foo', to })
    assert.deepEqual([answer.outcome, answer.blocked?.end], [outcome, end], what)
    if (end === undefined) continue
    assert.match(
      answer.blocked?.why ?? '',
      /^the application sends TLS, and DestinationRule foo\/d spec\.trafficPolicy\.(portLevelSettings\[0\]\.)?tls\.mode \(in\.yaml:\d+\) has the sidecar put it into TLS once more/,
      what,
    )
    assert.match(answer.blocked?.fix[1] ?? '', /^or remove tls from DestinationRule foo\/d/, what)
  }
  const plain = explain(
    mesh([entry(`${https}, {number: 80, name: h, protocol: HTTP, targetPort: 443}`), rule(mode('SIMPLE'))]),
    { from: 'web.foo', to: `https://${host}/` },
  )
  assert.equal(
    plain.blocked?.fix[0],
    `call http://${host}:80 from the application; the sidecar makes the TLS`,
  )
})

test('https:// to a port of HTTP passes by the rule’s TLS, and where only what is known may be called it ends', () => {
  const objects = [entry('{number: 443, name: h, protocol: HTTP}'), rule(mode('SIMPLE'))]
  const open = explain(mesh(objects), { from: 'web.foo', to: `https://${host}/` })
  assert.deepEqual(
    [open.outcome, open.client.route.because[0]?.rule, open.client.tls?.value],
    ['plaintext', 'route.not-http', 'DISABLE'],
  )
  const closed = explain(
    mesh([
      ...objects,
      '{apiVersion: networking.istio.io/v1, kind: Sidecar, metadata: {name: s, namespace: foo}, spec: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}}',
    ]),
    { from: 'web.foo', to: `https://${host}/` },
  )
  assert.equal(closed.blocked?.end, 'tls-to-http-port')
  assert.match(
    closed.blocked?.fix[0] ?? '',
    /^call http:\/\/api\.example\.com:443: the sidecar makes the TLS to the server \(DestinationRule foo\/d/,
  )
})

test('hints: what is odd, and what to change', () => {
  const rows: readonly (readonly [readonly string[], string, string, RegExp | undefined])[] = [
    [
      [entry('{number: 80, name: h, protocol: HTTP}'), rule('tls: {mode: SIMPLE}')],
      'web.foo',
      `http://${host}/`,
      /makes TLS towards port 80 of api\.example\.com, where servers hardly speak it: write targetPort: 443 in ServiceEntry foo\/e spec\.ports\[0\]/,
    ],
    [
      [entry('{number: 80, name: h, protocol: HTTP, targetPort: 443}'), rule('tls: {mode: SIMPLE}')],
      'web.foo',
      `http://${host}/`,
      undefined,
    ],
    [
      [entry(https)],
      'web.foo',
      `http://${host}:443/`,
      /port 443 of api\.example\.com is declared as TLS \(ServiceEntry foo\/e spec\.ports\[0\] .*write https:\/\//,
    ],
    [[], 'web.foo', 'http://web:443/', /port 443 of web\.foo\.svc\.cluster\.local is declared as TLS/],
    [
      [entry('{number: 5432, name: db, protocol: TCP}'), rule('tls: {mode: SIMPLE}')],
      'web.foo',
      `tcp://${host}:5432`,
      /an application that sends TLS itself .* gets TLS in TLS/,
    ],
    [
      [],
      'web.foo',
      'tcp://web:7000',
      /^the caller’s sidecar waits for the client’s first bytes for ever: a protocol in which the server speaks first .* hangs here; declare the protocol of port 7000/,
    ],
    [[], 'old.foo', 'tcp://web:7000', /^the server’s sidecar waits for the client’s first bytes for ever/],
    [[], 'old.foo', 'tcp://web:3306', /^the server’s sidecar waits .* let the caller have a sidecar/],
    [[], 'web.foo', 'tcp://web:3306', undefined],
    [[], 'web.foo', 'http://web/', undefined],
    [[entry(https)], 'web.foo', `tcp://${host}:443`, undefined],
  ]
  for (const [objects, from, to, hint] of rows) {
    const { hints } = explain(mesh(objects), { from, to })
    if (hint === undefined) assert.deepEqual(hints, [], to)
    else
      assert.ok(
        hints.some((h) => hint.test(h)),
        `${from} ${to}: ${hints.join('\n')}`,
      )
  }
})
