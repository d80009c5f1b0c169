// In: a folder of YAML and, beside it, kith.yaml. Out: the mesh running on this machine, and a handle on it.
// Law: plays kubelet, CNI, DNS and kube-proxy, nothing else; what the cluster would get runs here unchanged. Nothing outlives the mesh.
// Read first: types.ts, mesh-handle.ts; start-mesh.ts (outside), supervisor/mesh-inside.ts (inside).
export { attachMesh, attachState, localObjects } from './attach-mesh.ts'
export { openSession, type Session } from './control-client.ts'
export { channels, type Reply, type Request } from './control-protocol.ts'
export { readMeshFile, type ExternalServer, type LocalImage, type MeshFile } from './mesh-file.ts'
export type { MeshHandle } from './mesh-handle.ts'
export { startMesh } from './start-mesh.ts'
export { readRecord, startOf, stateDirOf, stateHome, statePaths, type MeshRecord } from './state-dir.ts'
export { attachFound, findMesh, foundMeshes, stopMesh, type FoundMesh } from './running-meshes.ts'
export { findPod, formatReference } from './supervisor/find-pod.ts'
export type * from './types.ts'
