// In: values as users of Istio's charts write them. Out: the Kubernetes objects of an installation, in the order in which they are applied.
// Law: pure; the same values give the same bytes. Who applies them is the command line's business.
// Read first: manifests.ts.
export { customResourceDefinitions } from './crds.ts'
