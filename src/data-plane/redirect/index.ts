// In: which traffic of a pod goes through its sidecar. Out: the rules for it, as data, as text, and in the kernel.
// Law: the rules are pure and in Istio's order; the same set is applied, printed and tested.
// Read first: rules.ts; options.ts has the annotations.
export { applyTable, hasIpv6, type Applied } from './apply.ts'
export { interceptionOf, sidecarMark, sidecarPorts, type CidrSelection, type Exemption, type InterceptionOptions, type InterceptionReading, type PortSelection } from './options.ts'
export { formatIptables, formatNft } from './print.ts'
export { interceptionRules } from './rules.ts'
