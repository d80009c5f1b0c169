// How long our own root lives and when it is renewed, from the environment, by Istio's names (pilot/pkg/bootstrap/istio_ca.go). Pure.
import { KithError } from '#lib/errors.ts'
import { parseDuration } from '#api'
import type { RootRenewalSettings } from './cluster/root-renewal.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Throws ENV_INVALID. */
export function rootSettings(env: Environment): RootRenewalSettings {
  const checkEveryMs = durationOf(env, 'CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL')
  const rootLifetimeMs = durationOf(env, 'CITADEL_SELF_SIGNED_CA_CERT_TTL')
  const gracePercent = env['CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE'] ?? ''
  if (gracePercent !== '' && !/^([0-9]|[1-9][0-9])$/.test(gracePercent)) throw new KithError('ENV_INVALID', `CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE must be 0 to 99, not ${gracePercent}`)
  return {
    ...(checkEveryMs === undefined ? {} : { checkEveryMs }), ...(rootLifetimeMs === undefined ? {} : { rootLifetimeMs }), ...(gracePercent === '' ? {} : { gracePercent: Number(gracePercent) }),
    ...(env['CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR'] === 'false' ? { jitter: false } : {}),
  }
}

function durationOf(env: Environment, name: string): number | undefined {
  const text = env[name]
  if (text === undefined || text === '') return undefined
  const ms = parseDuration(text)
  if (ms === undefined || ms <= 0) throw new KithError('ENV_INVALID', `${name} is no duration: ${text}`)
  return ms
}
