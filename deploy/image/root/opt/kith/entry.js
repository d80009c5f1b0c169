// The image's way in, in Istio's words: `discovery` is the control plane, `proxy sidecar` the agent, `redirect` the init container; all else is kith's own command line.
const roles = { discovery: 'src/control-plane/server/main.ts', proxy: 'src/data-plane/agent/main.js', redirect: 'src/data-plane/redirect/main.js' }
const role = process.argv[2] ?? ''
const file = Object.hasOwn(roles, role) ? roles[role] : undefined
if (file !== undefined) process.argv.splice(2, 1)
await import(new URL(file ?? 'src/cli/main.ts', import.meta.url))
