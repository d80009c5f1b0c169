// Access logs, compiled: where lines go and what they say. Law: text and JSON formats; other sinks are named as not served.
import { compileFormat, type Format } from './format.ts'
import { fields, type Notes } from './notes.ts'
import type { JsonObject, JsonValue } from '@bufbuild/protobuf'
import type { AccessLog as AccessLogProto } from '../../../generated/types/envoy/config/accesslog/v3/accesslog_pb.ts'
import type { FileAccessLog } from '../../../generated/types/envoy/extensions/access_loggers/file/v3/file_pb.ts'
import type { StderrAccessLog, StdoutAccessLog } from '../../../generated/types/envoy/extensions/access_loggers/stream/v3/stream_pb.ts'

export interface AccessLog {
  /** `/dev/stdout`, `/dev/stderr` or a file. */
  readonly path: string
  readonly format: { readonly text: Format } | { readonly json: JsonFormat }
  /** Only connections that no chain took (`NR`), as Istio's listener log. */
  readonly onlyFlags?: ReadonlySet<string>
}

export type JsonFormat = ReadonlyMap<string, Format | JsonFormat>

const fileType = 'envoy.extensions.access_loggers.file.v3.FileAccessLog'
const streamTypes: Readonly<Record<string, string>> = { 'envoy.extensions.access_loggers.stream.v3.StdoutAccessLog': '/dev/stdout', 'envoy.extensions.access_loggers.stream.v3.StderrAccessLog': '/dev/stderr' }

/** Istio's text format, with the peer's identity and the TLS version at its end. */
export const defaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ' +
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" ' +
  '"%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME% ' +
  '"%DOWNSTREAM_PEER_URI_SAN%" %DOWNSTREAM_TLS_VERSION%\n'

export function compileAccessLogs(logs: readonly AccessLogProto[], notes: Notes): AccessLog[] {
  return logs.flatMap((log, i) => notes.at(`access_log[${i}]`, () => compileOne(log, notes)))
}

function compileOne(log: AccessLogProto, notes: Notes): AccessLog[] {
  const any = log.configType.case === 'typedConfig' ? log.configType.value : undefined
  const type = any?.typeUrl.split('/').at(-1) ?? fileType
  const stream = Object.hasOwn(streamTypes, type) ? streamTypes[type] : undefined
  if (stream === undefined && type !== fileType) {
    notes.notServed(`access log ${log.name} (${type})`)
    return []
  }
  const sink = notes.unpack<FileAccessLog | StdoutAccessLog | StderrAccessLog>(any, type)
  if (sink === undefined) return []
  let onlyFlags: ReadonlySet<string> | undefined
  const filter = log.filter?.filterSpecifier
  if (filter?.case === 'responseFlagFilter') onlyFlags = new Set(filter.value.flags)
  else if (filter?.case !== undefined) notes.notServed(`access log filter ${filter.case}`)
  const format = compileLogFormat(sink.accessLogFormat, notes)
  return format === undefined ? [] : [{ path: stream ?? (sink as FileAccessLog).path, format, ...(onlyFlags === undefined ? {} : { onlyFlags }) }]
}

function compileLogFormat(format: FileAccessLog['accessLogFormat'] | StdoutAccessLog['accessLogFormat'], notes: Notes): AccessLog['format'] | undefined {
  switch (format.case) {
    case undefined:
      return { text: compileFormat(defaultFormat, notes) }
    case 'format':
      return { text: compileFormat(format.value, notes) }
    case 'jsonFormat':
    case 'typedJsonFormat':
      return { json: compileJson(format.value, notes) }
    case 'logFormat': {
      notes.onlyServes(format.value, fields('text_format text_format_source json_format json_format_options omit_empty_values formatters'))
      const inner = format.value.format
      if (inner.case === 'textFormat') return { text: compileFormat(inner.value, notes) }
      if (inner.case === 'jsonFormat') return { json: compileJson(inner.value, notes) }
      if (inner.case === 'textFormatSource' && inner.value.specifier.case === 'inlineString') return { text: compileFormat(inner.value.specifier.value, notes) }
      notes.error('log format has no inline text and no JSON')
      return undefined
    }
  }
}

function compileJson(object: JsonObject, notes: Notes): JsonFormat {
  const one = (value: JsonValue | undefined): Format | JsonFormat =>
    value !== null && typeof value === 'object' && !Array.isArray(value) ? compileJson(value, notes) : compileFormat(typeof value === 'string' ? value : JSON.stringify(value), notes)
  return new Map(Object.keys(object).sort().map((key) => [key, one(object[key])]))
}
