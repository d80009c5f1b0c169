import assert from 'node:assert/strict'
import { test } from 'node:test'
import { shapeFaults } from './kubernetes-shape.ts'

const good = { name: 'a', image: 'x', command: ['sleep', '1'], env: [{ name: 'PORT', value: '80' }], ports: [{ containerPort: 80 }], readinessProbe: { httpGet: { port: 'http' } }, stdin: true }

test('what of a pod an API server can’t read is a fault at its place; what is not read here is none', () => {
  for (const [change, place] of [
    [{}, []], [{ command: null }, []], [{ image: true }, ['image']], [{ command: 'sleep 1' }, ['command']], [{ args: [8080] }, ['args[0]']], [{ env: { PORT: '80' } }, ['env']], [{ env: [{ name: 'PORT', value: 80 }] }, ['env[0].value']],
    [{ ports: 80 }, ['ports']], [{ ports: [{ containerPort: '80' }] }, ['ports[0].containerPort']], [{ readinessProbe: [1] }, ['readinessProbe']], [{ workingDir: 5 }, ['workingDir']], [{ env: [null] }, ['env[0]']],
  ] as const) {
    const of = (apiVersion: string, kind: string, spec: object, at: string): void => assert.deepEqual(shapeFaults(apiVersion, kind, { spec }).map((f) => f.path), place.map((p) => `${at}.containers[0].${p}`), JSON.stringify(change))
    const spec = { containers: [{ ...good, ...change }], terminationGracePeriodSeconds: 3 }
    of('v1', 'Pod', spec, 'spec')
    of('apps/v1', 'Deployment', { template: { spec } }, 'spec.template.spec')
    of('batch/v1', 'CronJob', { jobTemplate: { spec: { template: { spec } } } }, 'spec.jobTemplate.spec.template.spec')
  }
  for (const containers of [{ name: 'a' }, ['a'], [null]]) assert.equal(shapeFaults('v1', 'Pod', { spec: { containers } }).length, 1, JSON.stringify(containers))
  assert.deepEqual(shapeFaults('v1', 'Pod', { metadata: { uid: 'u' }, spec: { containers: 1 } }), [])
})

test('so are a Service’s', () => {
  for (const [change, places] of [
    [{}, []], [{ selector: null, ports: [{ port: 80, targetPort: 'http' }] }, []], [{ ports: 80 }, ['spec.ports']], [{ ports: [80] }, ['spec.ports[0]']], [{ ports: [{ port: '80' }] }, ['spec.ports[0].port']], [{ ports: [{ port: 80, name: 5 }] }, ['spec.ports[0].name']],
    [{ selector: { app: 5 } }, ['spec.selector.app']], [{ clusterIP: 5 }, ['spec.clusterIP']],
  ] as const) assert.deepEqual(shapeFaults('v1', 'Service', { spec: { selector: { app: 'a' }, ports: [{ port: 80 }], sessionAffinity: 'None', ...change } }).map((f) => f.path), places, JSON.stringify(change))
})
