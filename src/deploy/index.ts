// In: values as users of Istio's charts write them. Out: the Kubernetes objects of an installation, in the order in which they are applied.
// Law: pure; the same values give the same bytes. Who applies them is the command line's business.
// Read first: manifests.ts.
export { customResourceDefinitions } from './crds.ts'
export { defaultValues, type Values } from './default-values.ts'
export { manifests, tagObjects } from './manifests.ts'
export { parseSet } from './set-values.ts'
export { installationLabel, managedBy, settingsOf, type Settings } from './settings.ts'
export { valuesSchema } from './values-schema.ts'
export { resolveValues, type Layer, type ResolvedValues } from './values.ts'
