import assert from 'node:assert/strict'
import { test } from 'node:test'
import { longestHoldMs, readinessPlace, ReadinessGate, serveReadiness } from '../../src/data-plane/agent/readiness.ts'
import { freePorts } from '../fixtures/ports.ts'
import { recordingLog } from './pair.ts'

test('a probe that comes early is held until the sidecar is ready, for nearly as long as the probe waits', async () => {
  const probeTimeoutMs = 3000
  assert.ok(longestHoldMs >= probeTimeoutMs - 1000 && longestHoldMs <= probeTimeoutMs - 300, `${longestHoldMs} ms`)
  const base = await freePorts(3)
  const gate = new ReadinessGate()
  const served = await serveReadiness(readinessPlace(base), gate, recordingLog())
  try {
    const asked = fetch(`http://127.0.0.1:${base + 2}/healthz/ready`, { headers: { connection: 'close' } })
    // Longer than such a probe was held before.
    await new Promise((resolve) => setTimeout(resolve, 1800))
    gate.ask(() => true)
    assert.equal((await asked).status, 200)
    gate.end()
    assert.equal((await fetch(`http://127.0.0.1:${base + 2}/healthz/ready`, { headers: { connection: 'close' } })).status, 503)
  } finally {
    served.close()
  }
})
