// In: objects (#api) and meshConfig. Out: Mesh, the immutable snapshot that everything is planned from.
// Law: pure; permuting the input changes nothing. What users wrote is indexed here, decided in #plan.
// Read first: types.ts, build.ts.
export { canonicalAddress, familiesOf, familyOf, type Family } from './addresses.ts'
export { buildMesh, type BuildOptions } from './build.ts'
export { endpointsOf, entryTakesMtls, targetPortOn, workloadsOf } from './endpoints.ts'
export { selectorCovers, selectWorkloads } from './select.ts'
export { foreignHostProblem, foreignHostProblems, foreignHosts, refusesForeignHosts, type ForeignHost } from './foreign-hosts.ts'
export { hostCovers, hostsOverlap, mostSpecific, resolveHost } from './hosts.ts'
export { byAge, compare } from './order.ts'
export { interceptionFor, notRedirectedBy, redirectsInbound, sayingOf, sidecarPorts } from './redirection.ts'
export { declaredProtocol, portProtocol } from './protocol.ts'
export type * from './types.ts'
export { exportedTo, isVisible } from './visibility.ts'
export { ownerName } from './workloads.ts'
