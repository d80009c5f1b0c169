// In: which traffic of a pod goes through its sidecar, as annotations or as the init container's arguments
// say it. Out: the rule set, and where it leads a connection.
// Law: pure, and one for all: what the pod's init container applies, `kith up` applies, the planner plans for
// and explain answers by is this rule set.
// Read first: rules.ts, then passage.ts; options.ts has the annotations, pod.ts what of a pod decides.
export { readRedirectCommand, type RedirectCommand } from './command-line.ts'
export {
  annotationOf,
  interceptionOf,
  sidecarMark,
  type CidrSelection,
  type Exemption,
  type InterceptionDefaults,
  type InterceptionOptions,
  type InterceptionReading,
  type PortSelection,
} from './options.ts'
export { passage, type Connection, type Passage } from './passage.ts'
export { podInterception, type PodInterception, type PodToIntercept } from './pod.ts'
export { interceptionRules, type InterceptionRule } from './rules.ts'
