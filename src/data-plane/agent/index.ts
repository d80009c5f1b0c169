// In: the pod's environment. Out: a sidecar: key, certificate, configuration, health; our proxy in its middle.
// Law: keys stay in memory; losing the control plane loses no connection.
// Read first: sidecar.ts, rotation.ts, discovery-client.ts.
export { readEnvironment, type AgentSettings } from './environment.ts'
export { findEnvoy } from './envoy/envoy-data-plane.ts'
export { parseProbers, probe, type Prober } from './probes.ts'
export { startSidecar, type Sidecar } from './sidecar.ts'
