import assert from 'node:assert/strict'
import { test } from 'node:test'
import { templateFaults } from './pod-template.ts'

const good = { name: 'a', image: 'x', command: ['sleep', '1'], env: [{ name: 'PORT', value: '80' }], ports: [{ containerPort: 80 }], readinessProbe: { httpGet: { port: 'http' } }, stdin: true }

test('what of a pod an API server can’t read is a fault at its place; what is not read here is none', () => {
  for (const [change, place] of [
    [{}, []], [{ command: null }, []], [{ image: true }, ['image']], [{ command: 'sleep 1' }, ['command']], [{ args: [8080] }, ['args[0]']], [{ env: { PORT: '80' } }, ['env']], [{ env: [{ name: 'PORT', value: 80 }] }, ['env[0].value']],
    [{ ports: 80 }, ['ports']], [{ readinessProbe: [1] }, ['readinessProbe']], [{ workingDir: 5 }, ['workingDir']], [{ env: [null] }, ['env[0]']],
  ] as const) {
    const of = (apiVersion: string, kind: string, spec: object, at: string): void => assert.deepEqual(templateFaults(apiVersion, kind, { spec }).map((f) => f.path), place.map((p) => `${at}.containers[0].${p}`), JSON.stringify(change))
    const spec = { containers: [{ ...good, ...change }], terminationGracePeriodSeconds: 3 }
    of('v1', 'Pod', spec, 'spec')
    of('apps/v1', 'Deployment', { template: { spec } }, 'spec.template.spec')
    of('batch/v1', 'CronJob', { jobTemplate: { spec: { template: { spec } } } }, 'spec.jobTemplate.spec.template.spec')
  }
  for (const containers of [{ name: 'a' }, ['a'], [null]]) assert.equal(templateFaults('v1', 'Pod', { spec: { containers } }).length, 1, JSON.stringify(containers))
  assert.deepEqual(templateFaults('v1', 'Pod', { metadata: { uid: 'u' }, spec: { containers: 1 } }), [])
})
