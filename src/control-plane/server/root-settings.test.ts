import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rootSettings } from './root-settings.ts'

test('Istio’s names for the life of the root; what is no duration or percentage ends the start', () => {
  assert.deepEqual(rootSettings({}), {})
  assert.deepEqual(rootSettings({ CITADEL_SELF_SIGNED_CA_CERT_TTL: '87600h', CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL: '30m', CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE: '10', CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR: 'false' }), { rootLifetimeMs: 315_360_000_000, checkEveryMs: 1_800_000, gracePercent: 10, jitter: false })
  for (const env of [{ CITADEL_SELF_SIGNED_CA_CERT_TTL: 'ten years' }, { CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL: '-1h' }, { CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE: '100' }]) assert.throws(() => rootSettings(env), { code: 'ENV_INVALID' })
})
