// Annotations that a pod may carry, and what each takes: a bad one refuses the pod, named.
// Istio: pkg/kube/inject/validate.go.
import { BlockList, isIP, isIPv6 } from 'node:net'
import { isRecord } from '#api'

type Check = (value: string) => string | undefined

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) <= 65535
const items = (value: string): string[] => (value === '' ? [] : value.split(',').map((v) => v.trim()))

const portList: Check = (value) => {
  const bad = items(value).find((p) => !isPort(p))
  return bad === undefined ? undefined : `"${bad}" is no port (0 to 65535)`
}
const anyOr = (check: Check): Check => (value) => (value === '*' ? undefined : check(value))
const cidrList: Check = (value) => {
  const bad = items(value).find((c) => !isCidr(c))
  return bad === undefined ? undefined : `"${bad}" is no CIDR block such as 10.0.0.0/8`
}
const oneOf = (...values: string[]): Check => (value) => (values.includes(value) ? undefined : `"${value}" is none of ${values.join(', ')}`)
const unsigned: Check = (value) => (/^\d{1,10}$/.test(value) && Number(value) < 2 ** 32 ? undefined : `"${value}" is no whole number from 0 on`)
const flag: Check = (value) => (/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value) ? undefined : `"${value}" is neither true nor false`)
const quantity: Check = (value) => (/^[+-]?(\d+(\.\d*)?|\.\d+)(m|k|M|G|T|P|E|n|u|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/.test(value) ? undefined : `"${value}" is no quantity such as 100m or 128Mi`)

export const checkedAnnotations: Readonly<Record<string, Check>> = {
  'sidecar.istio.io/interceptionMode': oneOf('REDIRECT', 'TPROXY', 'NONE'),
  'status.sidecar.istio.io/port': (v) => (isPort(v) ? undefined : `"${v}" is no port (0 to 65535)`),
  'readiness.status.sidecar.istio.io/initialDelaySeconds': unsigned,
  'readiness.status.sidecar.istio.io/periodSeconds': unsigned,
  'readiness.status.sidecar.istio.io/failureThreshold': unsigned,
  'readiness.status.sidecar.istio.io/applicationPorts': portList,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': anyOr(cidrList),
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': cidrList,
  'traffic.sidecar.istio.io/includeInboundPorts': anyOr(portList),
  'traffic.sidecar.istio.io/excludeInboundPorts': portList,
  'traffic.sidecar.istio.io/excludeOutboundPorts': portList,
  'prometheus.istio.io/merge-metrics': flag,
  'sidecar.istio.io/proxyCPU': quantity,
  'sidecar.istio.io/proxyCPULimit': quantity,
  'sidecar.istio.io/proxyMemory': quantity,
  'sidecar.istio.io/proxyMemoryLimit': quantity,
  'sidecar.istio.io/userVolume': jsonObject,
  'sidecar.istio.io/userVolumeMount': jsonObject,
  'k8s.v1.cni.cncf.io/networks': networks,
}

/** One sentence for each annotation that can't be honoured. */
export function annotationFaults(annotations: Readonly<Record<string, string>>): string[] {
  return Object.entries(annotations).flatMap(([name, value]) => {
    const why = Object.hasOwn(checkedAnnotations, name) ? checkedAnnotations[name]?.(value) : undefined
    return why === undefined ? [] : [`invalid annotation ${name}: ${why}`]
  })
}

function jsonObject(value: string): string | undefined {
  try {
    return isRecord(JSON.parse(value)) ? undefined : 'it must be a JSON object'
  } catch (error) {
    return `it is no JSON: ${(error as Error).message}`
  }
}

/** Names, or JSON that a CNI plugin's own network can be added to. */
function networks(value: string): string | undefined {
  if (!value.trim().startsWith('[')) return undefined
  try {
    return Array.isArray(JSON.parse(value)) ? undefined : 'it must be a JSON list'
  } catch (error) {
    return `it is no JSON: ${(error as Error).message}`
  }
}

function isCidr(text: string): boolean {
  const [address = '', bits] = text.split('/')
  if (isIP(address) === 0 || bits === undefined || !/^\d{1,3}$/.test(bits)) return false
  try {
    new BlockList().addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
    return true
  } catch {
    return false
  }
}
