// In: a folder of YAML and, beside it, kith.yaml. Out: the mesh running on this machine, and a handle on it.
// Law: plays kubelet, CNI, DNS and kube-proxy, nothing else; what the cluster would get runs here unchanged. Nothing outlives the mesh.
// Read first: types.ts, mesh-handle.ts; start-mesh.ts (outside), supervisor/main.ts (inside).
export { readMeshFile, type ExternalServer, type LocalImage, type MeshFile } from './mesh-file.ts'
export type { MeshHandle } from './mesh-handle.ts'
export type * from './types.ts'
