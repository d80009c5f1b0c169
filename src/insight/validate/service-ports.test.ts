// Ports of Services as `istioctl validate` judges them: each row is a port and whether it is wrong.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { read } from '#api'
import { checkServicePorts } from './service-ports.ts'

test('what a port says of its protocol, by name or appProtocol', () => {
  const rows: readonly (readonly [Readonly<Record<string, unknown>>, string?])[] = [
    [{ name: 'http', port: 80 }], [{ name: 'HTTP-x', port: 80 }], [{ name: 'grpc-web', port: 80 }], [{ name: 'foo', port: 80, protocol: 'udp' }], [{ name: 'foo', port: 80, appProtocol: 'http' }], [{ name: 'foo', port: 80, appProtocol: 'kubernetes.io/h2c' }],
    [{ port: 80 }, 'spec.ports[0]'], [{ name: 'foo', port: 80 }, 'spec.ports[0]'], [{ name: 'db', port: 3306 }, 'spec.ports[0]'], [{ name: 'hbone', port: 80 }, 'spec.ports[0]'], [{ name: 'http', port: 80, appProtocol: 'foo' }, 'spec.ports[0].appProtocol'], [{ name: 'http', port: 80, appProtocol: 'http-x' }, 'spec.ports[0].appProtocol'],
  ]
  for (const [port, wrong] of rows) {
    const { draft } = read({ apiVersion: 'v1', kind: 'Service', metadata: { name: 's', namespace: 'n' }, spec: { ports: [port] } }, {})
    assert.ok(draft !== undefined)
    assert.deepEqual(checkServicePorts(draft).map((p) => p.ref.path), wrong === undefined ? [] : [wrong], JSON.stringify(port))
  }
})
