// Istio's text format, and behind it what it lacks: who the peer is and by which TLS, on both sides.
import type { MeshSettings } from '#plan'
import { typed, type Obj } from './json.ts'

const format = [
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS%',
  ' "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%"',
  ' "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%',
  ' peer="%DOWNSTREAM_PEER_URI_SAN%" tls=%DOWNSTREAM_TLS_VERSION% upstream_peer="%UPSTREAM_PEER_URI_SAN%" upstream_tls=%UPSTREAM_TLS_VERSION%\n',
].join('')

/** Envoy opens a file by its path, which fails where a process’s output is a socket: these two it writes to as they are. */
const streams: Readonly<Record<string, readonly [name: string, type: string]>> = {
  '/dev/stdout': ['envoy.access_loggers.stdout', 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog'],
  '/dev/stderr': ['envoy.access_loggers.stderr', 'envoy.extensions.access_loggers.stream.v3.StderrAccessLog'],
}

/** undefined: off. */
export function accessLogs(mesh: MeshSettings): Obj[] | undefined {
  if (mesh.accessLogFile === '') return undefined
  const logFormat = { textFormatSource: { inlineString: format } }
  const stream = Object.hasOwn(streams, mesh.accessLogFile) ? streams[mesh.accessLogFile] : undefined
  if (stream !== undefined) return [{ name: stream[0], typedConfig: typed(stream[1], { logFormat }) }]
  return [{ name: 'envoy.access_loggers.file', typedConfig: typed('envoy.extensions.access_loggers.file.v3.FileAccessLog', { path: mesh.accessLogFile, logFormat }) }]
}

/** A listener's own log: connections that no chain takes. */
export function listenerAccessLogs(mesh: MeshSettings): Obj[] | undefined {
  return accessLogs(mesh)?.map((log) => ({ ...log, filter: { responseFlagFilter: { flags: ['NR'] } } }))
}
