// Annotations that a pod may carry, and what each takes: a bad one refuses the pod, named.
// Istio: pkg/kube/inject/validate.go.
import { BlockList, isIP, isIPv6 } from 'node:net'
import { isRecord } from '#api'

type Check = (value: string) => string | undefined

const isPort = (text: string): boolean => /^\d+$/.test(text) && Number(text) <= 65535
const items = (value: string): string[] => (value.trim() === '' ? [] : value.split(',').map((v) => v.trim()))

const portList: Check = (value) => {
  const bad = items(value).find((p) => !isPort(p))
  return bad === undefined ? undefined : `"${bad}" is no port (0 to 65535)`
}
const anyOr = (check: Check): Check => (value) => (value === '*' ? undefined : check(value))
const cidrList: Check = (value) => {
  const bad = (value === '' ? [] : value.split(',')).find((c) => !isCidr(c))
  return bad === undefined ? undefined : `"${bad}" is no CIDR block such as 10.0.0.0/8`
}
const oneOf = (...values: string[]): Check => (value) => (values.includes(value) ? undefined : `"${value}" is none of ${values.join(', ')}`)
const unsigned: Check = (value) => (/^\d{1,10}$/.test(value) && Number(value) < 2 ** 31 ? undefined : `"${value}" is no whole number from 0 on`)
const flag: Check = (value) => (/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(value) ? undefined : `"${value}" is neither true nor false`)
const quantity: Check = (value) => (isQuantity(value) ? undefined : `"${value}" is no quantity such as 100m or 128Mi`)

export function isQuantity(value: string): boolean {
  return /^[+-]?(\d+(\.\d*)?|\.\d+)(m|k|M|G|T|P|E|n|u|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$/.test(value)
}

export const checkedAnnotations: Readonly<Record<string, Check>> = {
  'sidecar.istio.io/interceptionMode': oneOf('REDIRECT', 'TPROXY', 'NONE'),
  'status.sidecar.istio.io/port': (v) => (isPort(v.trim()) ? undefined : `"${v}" is no port (0 to 65535)`),
  'readiness.status.sidecar.istio.io/initialDelaySeconds': unsigned,
  'readiness.status.sidecar.istio.io/periodSeconds': unsigned,
  'readiness.status.sidecar.istio.io/failureThreshold': unsigned,
  'traffic.sidecar.istio.io/includeOutboundIPRanges': anyOr(cidrList),
  'traffic.sidecar.istio.io/excludeOutboundIPRanges': cidrList,
  'traffic.sidecar.istio.io/includeInboundPorts': anyOr(portList),
  'traffic.sidecar.istio.io/excludeInboundPorts': portList,
  'traffic.sidecar.istio.io/excludeOutboundPorts': portList,
  'traffic.sidecar.istio.io/excludeInterfaces': interfaces,
  'traffic.sidecar.istio.io/kubevirtInterfaces': interfaces,
  'istio.io/reroute-virtual-interfaces': interfaces,
  'prometheus.istio.io/merge-metrics': flag,
  'sidecar.istio.io/proxyCPU': quantity,
  'sidecar.istio.io/proxyCPULimit': quantity,
  'sidecar.istio.io/proxyMemory': quantity,
  'sidecar.istio.io/proxyMemoryLimit': quantity,
  'proxy.istio.io/overrides': jsonObject,
  'sidecar.istio.io/userVolume': volumes(false),
  'sidecar.istio.io/userVolumeMount': volumes(true),
}

/** One sentence for each annotation that can't be honoured. */
export function annotationFaults(annotations: Readonly<Record<string, string>>): string[] {
  return Object.entries(annotations).flatMap(([name, value]) => {
    const why = Object.hasOwn(checkedAnnotations, name) ? checkedAnnotations[name]?.(value) : undefined
    return why === undefined ? [] : [`invalid annotation ${name}: ${why}`]
  })
}

/** By name, or as a list; each entry an object, of a mount one with a path. */
function volumes(mounts: boolean): Check {
  return (value) => {
    if (value === '') return 'it is no JSON: it is empty'
    try {
      const parsed: unknown = JSON.parse(value)
      if (parsed === null) return undefined
      if (typeof parsed !== 'object') return 'it must be a JSON object'
      const bad = Object.entries(parsed).find(([, entry]) => !isRecord(entry) || (mounts && typeof entry['mountPath'] !== 'string'))
      return bad === undefined ? undefined : `${bad[0]} must be an object${mounts ? ' with a mountPath' : ''}`
    } catch (error) {
      return `it is no JSON: ${(error as Error).message}`
    }
  }
}

function jsonObject(value: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(value)
    return parsed === null || isRecord(parsed) ? undefined : 'it must be a JSON object'
  } catch (error) {
    return `it is no JSON: ${(error as Error).message}`
  }
}

function interfaces(value: string): string | undefined {
  const bad = (value === '' ? [] : value.split(',').map((v) => v.trim())).find((name) => !/^[a-zA-Z][a-zA-Z0-9_.-]{0,14}$/.test(name))
  return bad === undefined ? undefined : `"${bad}" is no interface’s name`
}

function isCidr(text: string): boolean {
  const [address = '', bits] = text.split('/')
  if (isIP(address) === 0 || bits === undefined || !/^(0|[1-9]\d{0,2})$/.test(bits) || address.includes('%')) return false
  try {
    new BlockList().addSubnet(address, Number(bits), isIPv6(address) ? 'ipv6' : 'ipv4')
    return true
  } catch {
    return false
  }
}
