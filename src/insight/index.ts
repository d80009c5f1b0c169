// In: a mesh and a question. Out: an answer with its reasons, as data and as text.
// Law: pure; reads plans, decides nothing again.
// Read first: explain/explain.ts.
export { explain } from './explain/explain.ts'
export { findWorkload } from './explain/find-workload.ts'
export { callersPods, observedIn, podsToAsk } from './explain/observed.ts'
export { ejectedIn, type ClustersPage } from './explain/ejected.ts'
export { parseTarget, resolveTarget } from './explain/target.ts'
export { formatExplanation, formatNotApplied, reasonLines } from './explain/text.ts'
export type * from './explain/types.ts'
export { whyNot } from './explain/why-not.ts'
