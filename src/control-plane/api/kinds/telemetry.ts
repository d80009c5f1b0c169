// telemetry.istio.io and ProxyConfig: https://istio.io/latest/docs/reference/config/telemetry/
import { boolean, int32, list, looseDuration, map, nullable, number, object, oneOf, required, rule, string, type Infer } from '../schema.ts'
import { attached, oneTarget, selector } from './security.ts'

const providers = list(required(object({ name: string({ minLength: 1 }) }), 'name'))
const mode = oneOf('CLIENT_AND_SERVER', 'CLIENT', 'SERVER')
const customTag = object({
  literal: required(object({ value: string({ minLength: 1 }) }), 'value'),
  environment: required(object({ name: string({ minLength: 1 }), defaultValue: string() }), 'name'),
  header: required(object({ name: string({ minLength: 1 }), defaultValue: string() }), 'name'),
  formatter: required(object({ value: string({ minLength: 1 }) }), 'value'),
}, ['literal', 'environment', 'header', 'formatter'])
const metric = oneOf('ALL_METRICS', 'REQUEST_COUNT', 'REQUEST_DURATION', 'REQUEST_SIZE', 'RESPONSE_SIZE', 'TCP_OPENED_CONNECTIONS', 'TCP_CLOSED_CONNECTIONS', 'TCP_SENT_BYTES', 'TCP_RECEIVED_BYTES', 'GRPC_REQUEST_MESSAGES', 'GRPC_RESPONSE_MESSAGES')
const tagOverride = rule(
  rule(object({ operation: oneOf('UPSERT', 'REMOVE'), value: string() }), 'value may only be set where operation is UPSERT', "!(has(self.operation) && self.operation == 'REMOVE' && has(self.value))", (t) => t.operation !== 'REMOVE' || t.value === undefined),
  'value must be set where operation is UPSERT', "((has(self.operation) ? self.operation : '') == 'UPSERT') ? (self.value != '') : true", (t) => t.operation === 'REMOVE' || (t.value ?? '') !== '')

export const telemetry = oneTarget(object({
  ...attached,
  tracing: list(object({
    match: object({ mode }), providers, randomSamplingPercentage: nullable(number({ min: 0, max: 100 })), disableSpanReporting: nullable(boolean()), customTags: map(customTag), useRequestIdForTraceSampling: nullable(boolean()), enableIstioTags: nullable(boolean()),
    disableContextPropagation: nullable(boolean()),
  })),
  metrics: list(object({
    providers,
    overrides: list(object({ match: object({ metric, customMetric: string({ minLength: 1 }), mode }, ['metric', 'customMetric']), disabled: nullable(boolean()), tagOverrides: map(tagOverride) })),
    reportingInterval: looseDuration(1),
  })),
  accessLogging: list(object({ match: object({ mode }), providers, disabled: nullable(boolean()), filter: object({ expression: string() }) })),
}))
export type TelemetrySpec = Infer<typeof telemetry>

export const proxyConfig = object({
  selector,
  concurrency: nullable(rule(int32(), 'must not be negative', 'self >= 0', (n: number) => n >= 0)),
  environmentVariables: map(string({ maxLength: 2048 })),
  image: object({ imageType: string() }),
})
