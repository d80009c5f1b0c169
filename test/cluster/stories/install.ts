// kith install: progress, readiness, and a second time nothing to do.
import assert from 'node:assert/strict'
import { kith, kubectl, pods, tryKith } from '../cluster.ts'
import type { Story } from './story.ts'

export const install: Story = {
  title: 'kith install: the control plane is ready when it returns, and a second time there is nothing to change',
  async run(say) {
    assert.equal(tryKith(['precheck']).code, 0)
    const fromMs = performance.now()
    const said = kith('install -y --set meshConfig.accessLogFile=/dev/stdout --set global.imagePullPolicy=Never')
    say(`kith install: ${((performance.now() - fromMs) / 1000).toFixed(1)} s`)
    assert.match(said, /Installation complete/)
    assert.deepEqual(pods('istio-system').map((p) => [p.ready, p.status]), [['1/1', 'Running']])
    assert.match(kith('install -y --set meshConfig.accessLogFile=/dev/stdout --set global.imagePullPolicy=Never'), /Nothing to change/)
    assert.match(kith('version'), /control plane/i)
    const [container] = JSON.parse(kubectl('get deployment istiod -n istio-system -o jsonpath={.spec.template.spec.containers}')) as [{ securityContext: object }]
    assert.deepEqual(container.securityContext, { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, privileged: false, readOnlyRootFilesystem: true, runAsGroup: 1337, runAsNonRoot: true, runAsUser: 1337 })
  },
}
