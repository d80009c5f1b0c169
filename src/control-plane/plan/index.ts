// In: Mesh and a workload. Out: ProxyPlan and EndpointsPlan: what its proxy should do, with the reasons. Plain data.
// Law: pure; every choice is a Decided; nothing after this room decides policy again.
// Read first: types.ts, then plan.ts; mtls, destination-rules and upstream-tls hold the mTLS decisions.
export { planContext, type PlanContext } from './context.ts'
export { keyOf, keysWanted, type KeySource } from './authentication.ts'
export { claimPath } from './claim-path.ts'
export { mergeDelegates } from './delegates.ts'
export { planEndpoints } from './endpoints.ts'
export { inboundFor, servicesSelecting } from './inbound.ts'
export { virtualServicesFor } from './l4-routes.ts'
export { decideMtls, policiesFor } from './mtls.ts'
export { podTlsAt } from './pod-tls.ts'
export { unservedKindsAt } from './not-served.ts'
export { planProblems } from './problems.ts'
export { planFrom, planProxy, planServer } from './plan.ts'
export { scopeOf, sidecarFor } from './scope.ts'
export { effectivePolicy } from './traffic-policy.ts'
export { destinationRuleFor, indexDestinationRules } from './destination-rules.ts'
export type * from './types.ts'
