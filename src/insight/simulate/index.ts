// In: plans and a call as plain facts. Out: what the proxies do with it. Law: generate → compile → the engine's own decisions; nothing is decided here.
// Read first: outbound.ts, then inbound.ts.
export { connectionFacts, type FirstBytes } from './bytes.ts'
export { decideInbound, vouched, type InboundCall, type InboundDecision } from './inbound.ts'
export { decideOutbound, type ClusterChoice, type OutboundCall, type OutboundDecision } from './outbound.ts'
export { waitsForClient } from './waits.ts'
export { inboundConfig, outboundConfig, runtimeEndpoints, type Outbound } from './runtime.ts'
export { bytesOnTheWire, candidates, onTheWire, type OnTheWire, type Wire } from './upstream.ts'
