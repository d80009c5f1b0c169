// In: a rule set of #interception. Out: the same as text, and in the kernel.
// Law: nothing is decided here; what is applied, printed and tested is one set.
// Read first: apply.ts; main.ts is the init container.
export { applyTable, hasIpv6, type Applied } from './apply.ts'
export { formatIptables, formatNft } from './print.ts'
