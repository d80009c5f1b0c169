// In: a client. Out: the cluster's objects, now and after each change.
// Law: what is lost stays as last known; a kind that can't be read takes only itself along.
// Read first: reflector.ts (what to do next), watch-kubernetes.ts.
export { follow, type Followed } from './follow.ts'
export { followObject, type FollowedObject } from './follow-object.ts'
export type { HeldStatus } from './held-objects.ts'
export { watchedKinds, type WatchedKind } from './kinds.ts'
export { watchKubernetes, type KindStatus, type KubernetesWatch, type KubernetesWatchOptions } from './watch-kubernetes.ts'
