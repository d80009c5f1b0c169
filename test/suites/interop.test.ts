// gRPC's interop cases, from Go's client through a client's sidecar, mutual TLS and a server's sidecar to Go's server.
import assert from 'node:assert/strict'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { testAuthority, type TestAuthority } from '../envoy/fixtures/certificates.ts'
import { needsEnvoy } from '../envoy/fixtures/envoy-binary.ts'
import { startMixedPair } from '../envoy/fixtures/mixed-pair.ts'
import { until } from '../envoy/fixtures/running-envoy.ts'
import { freePort } from '../fixtures/ports.ts'
import { needsGoTools } from './go-tools.ts'

/** All but those that need Google's credentials, and pick_first_unary, which needs a server with an identity of its own. */
const cases = [
  'empty_unary', 'large_unary', 'client_streaming', 'server_streaming', 'ping_pong', 'empty_stream', 'timeout_on_sleeping_server', 'cancel_after_begin', 'cancel_after_first_response',
  'status_code_and_message', 'special_status_message', 'custom_metadata', 'unimplemented_method', 'unimplemented_service', 'orca_per_rpc', 'orca_oob', 'rpc_soak',
] as const
const orcaConfig = ['-service_config_json', '{"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}']

let authority: TestAuthority | undefined
let server: ChildProcess | undefined
after(() => {
  server?.kill('SIGKILL')
  if (authority !== undefined) rmSync(authority.folder, { recursive: true, force: true })
})

for (const [client, far] of [['kith', 'kith'], ['envoy', 'kith'], ['kith', 'envoy']] as const) {
  test(`all ${cases.length} cases of gRPC interop: ${client} to ${far}`, { timeout: 120_000 }, async (t) => {
    const [tools, binary] = [needsGoTools(t), needsEnvoy(t)]
    if (tools === undefined || binary === undefined) return
    const own = (authority ??= await testAuthority())
    const application = await freePort()
    server?.kill('SIGKILL')
    server = spawn(tools.interopServer, ['-port', String(application)], { stdio: 'ignore' })
    await until(() => accepts(application), 'the interop server')
    const pair = await startMixedPair({ client, server: far, binary, authority: own, services: { grpc: 8001 }, application })
    try {
      for (const name of cases) assert.equal(await run(tools.interopClient, pair.ports.grpc, name), '', name)
      assert.match(await run(tools.interopClient, pair.ports.grpc, 'no_such_case'), /Unsupported test case/, 'the client would say so')
    } finally {
      await pair.stop()
    }
  })
}

/** '' where the case passes; else what the client said. */
function run(program: string, port: number, name: string): Promise<string> {
  const args = ['-server_host', '127.0.0.1', '-server_port', String(port), '-test_case', name, ...(name.startsWith('orca') ? orcaConfig : [])]
  return new Promise((resolve) => execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => resolve(error === null ? '' : `${error.message}\n${stdout}${stderr}`)))
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
}
