// In: resources by name and version. Out: the delta xDS protocol, both sides of it.
// Law: the protocol is a pure state machine; sockets stand at its edge. The only contract between the wings.
// Read first: resource.ts.
export { pushOrder, typeUrls, type Resource } from './resource.ts'
