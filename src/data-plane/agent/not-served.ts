// Settings of Istio's that this sidecar is given and does nothing with: named in its log when it starts.
// The same lists as the control plane's (src/control-plane/api/not-served-settings.ts); a test holds the two together.

/** Variables that the agent reads, or that tell the control plane and scripts what the pod is. */
export const environmentRead: ReadonlySet<string> = new Set([
  'ISTIO_META_CLUSTER_ID', 'ISTIO_META_INTERCEPTION_MODE', 'ISTIO_META_MESH_ID', 'ISTIO_META_NETWORK', 'ISTIO_META_NODE_NAME',
  'ISTIO_META_OWNER', 'ISTIO_META_WORKLOAD_NAME', 'ISTIO_META_POD_PORTS', 'ISTIO_META_APP_CONTAINERS',
  'SECRET_TTL', 'TERMINATION_DRAIN_DURATION_SECONDS', 'EXIT_ON_ZERO_ACTIVE_CONNECTIONS', 'MINIMUM_DRAIN_DURATION', 'CA_ADDR', 'TRUST_DOMAIN',
])

/** What else Istio's agent reads, beside ISTIO_META_…. */
export const environmentIgnored: ReadonlySet<string> = new Set([
  'DNS_PROXY_ADDR', 'PROXY_XDS_VIA_AGENT', 'OUTPUT_CERTS', 'PROV_CERT', 'FILE_MOUNTED_CERTS', 'CA_PROVIDER', 'ECC_SIGNATURE_ALGORITHM', 'ECC_CURVE', 'WORKLOAD_RSA_KEY_SIZE',
  'PKCS8_KEY', 'GRPC_XDS_BOOTSTRAP', 'XDS_ROOT_CA', 'CA_ROOT_CA', 'ISTIO_BOOTSTRAP_OVERRIDE', 'IPTABLES_TRACE_LOGGING', 'INVALID_DROP', 'ISTIO_DUAL_STACK',
])

/** Fields of PROXY_CONFIG that count, here or where the pod was injected. */
export const proxyConfigRead: ReadonlySet<string> = new Set([
  'discoveryAddress', 'statusPort', 'terminationDrainDuration', 'interceptionMode', 'holdApplicationUntilProxyStarts', 'proxyMetadata',
])

/** `ISTIO_META_DNS_CAPTURE`, `PROXY_CONFIG concurrency` */
export function settingsWithoutEffect(env: Readonly<Record<string, string | undefined>>): readonly string[] {
  const variables = Object.keys(env).filter((name) => env[name] !== '' && (environmentIgnored.has(name) || (name.startsWith('ISTIO_META_') && !environmentRead.has(name))))
  const config = Object.entries(parsed(env['PROXY_CONFIG'])).flatMap(([name, value]) => (proxyConfigRead.has(name) || isUnset(value) ? [] : [`PROXY_CONFIG ${name}`]))
  return [...variables, ...config].sort()
}

const isUnset = (value: unknown): boolean => value === undefined || value === null || value === false || value === '' || (typeof value === 'object' && Object.keys(value).length === 0)

/** What is no JSON is said by environment.ts. */
function parsed(text: string | undefined): object {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
  } catch {
    return {}
  }
}
