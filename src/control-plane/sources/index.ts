// In: paths. Out: objects and problems, now and after each change.
// Law: the only room that watches. A broken file, document or field takes only itself along; the last good one stays.
// Read first: yaml.ts (documents that know their lines), objects.ts (overlays, last good).
export { readFiles, type ReadFiles } from './files.ts'
export { decodeObjects, documentKey, isOverlay, objectKey, objectMark, overlayAnnotation, type Objects } from './objects.ts'
export { watchFiles, type FileWatch } from './watch.ts'
export { parseYaml, type ParsedText, type RawDocument } from './yaml.ts'
export { follow, followObject, watchedKinds, watchKubernetes, type Followed, type FollowedObject, type HeldStatus, type KindStatus, type KubernetesWatch, type WatchedKind } from './kubernetes/index.ts'
