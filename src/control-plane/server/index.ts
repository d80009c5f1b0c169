// In: sources and flags. Out: a running control plane: delta ADS, CA, status.
// Law: assembled by hand, top to bottom; a broken input never empties a proxy.
// Read first: control-plane.ts, discovery.ts, cluster/start-in-cluster.ts.
export { startControlPlane, type ControlPlane, type ControlPlaneOptions } from './control-plane.ts'
export { revisioned, serverNames, startInCluster, type ClusterControlPlane, type InClusterOptions } from './cluster/start-in-cluster.ts'
export { Discovery, type ProxyStatus } from './discovery.ts'
