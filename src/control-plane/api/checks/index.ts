// What the fields of an object mean together: one check a kind, as Istio's webhook has it. Shape is decode's business.
import type { Problem } from '#lib/problem.ts'
import type { ApiObject } from '../object.ts'
import { checkEnvoyFilter } from './envoy-filter.ts'
import { Findings } from './findings.ts'
import { checkGateway } from './gateway.ts'
import { checkAuthorizationPolicy, checkPeerAuthentication, checkRequestAuthentication } from './security.ts'
import { checkServiceEntry, checkWorkloadEntry, checkWorkloadGroup } from './service-entry.ts'
import { checkSidecar } from './sidecar.ts'
import { checkProxyConfig, checkTelemetry } from './telemetry.ts'
import { checkDestinationRule } from './traffic-policy.ts'
import { checkVirtualService } from './virtual-service.ts'

const checks: Readonly<Record<string, (object: ApiObject, found: Findings) => void>> = {
  AuthorizationPolicy: checkAuthorizationPolicy,
  DestinationRule: checkDestinationRule,
  EnvoyFilter: checkEnvoyFilter,
  Gateway: checkGateway,
  PeerAuthentication: checkPeerAuthentication,
  ProxyConfig: checkProxyConfig,
  RequestAuthentication: checkRequestAuthentication,
  ServiceEntry: checkServiceEntry,
  Sidecar: checkSidecar,
  Telemetry: checkTelemetry,
  VirtualService: checkVirtualService,
  WorkloadEntry: checkWorkloadEntry,
  WorkloadGroup: checkWorkloadGroup,
}

/** Errors (IST0106), warnings (IST0133) and unreachable rules (IST0130, IST0131) of one of Istio's objects. */
export function check(object: ApiObject): readonly Problem[] {
  const found = new Findings(object)
  checkDryRun(object, found)
  checks[object.kind]?.(object, found)
  return found.problems
}

const dryRun = 'istio.io/dry-run'

/** Only ALLOW and DENY policies can be tried out. */
function checkDryRun(object: ApiObject, found: Findings): void {
  const value = object.metadata.annotations[dryRun]
  if (value === undefined) return
  const at = `metadata.annotations.${dryRun}`
  const action = (object.spec as { action?: string }).action ?? 'ALLOW'
  if (object.kind !== 'AuthorizationPolicy') found.error(at, `${dryRun} works on AuthorizationPolicies only`)
  else if (action !== 'ALLOW' && action !== 'DENY') found.error(at, `${dryRun} works with the actions ALLOW and DENY only, not with ${action}`)
  else if (!/^(1|0|t|f|true|false)$/i.test(value)) found.error(at, `${JSON.stringify(value)} is neither true nor false`)
}
