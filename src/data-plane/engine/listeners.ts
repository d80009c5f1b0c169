// Listeners, compiled: where connections arrive, what is looked at before a byte is consumed, and the chains that may take them.
import { createHash } from 'node:crypto'
import { toBinary } from '@bufbuild/protobuf'
import { message } from '#proto'
import { compileAccessLogs, type AccessLog } from './access-log.ts'
import { compileAddress, type SocketAddress } from './address.ts'
import { compileChainMatch, duplicateCriteria, matchChain, type ChainEntry, type ConnectionFacts } from './filter-chain-match.ts'
import { compileHttpConnection, hcmType, type HttpConnection } from './http-connection.ts'
import { kithMetadata, type KithMetadata } from './metadata.ts'
import { durationMs, fields, type Notes } from './notes.ts'
import { compileNetworkRbac, networkRbacType, type Rbac } from './rbac.ts'
import { checkNetworkFilterState, networkFilterStateType } from './socket-matcher.ts'
import { compileTcpProxy, tcpProxyType, type TcpProxy } from './tcp-proxy.ts'
import { compileDownstreamTls, type DownstreamTls } from './tls-context.ts'
import type { Listener } from '../../../generated/types/envoy/config/listener/v3/listener_pb.ts'
import type { FilterChain } from '../../../generated/types/envoy/config/listener/v3/listener_components_pb.ts'

export interface RuntimeChain {
  readonly name: string
  /** Hash of the chain as it came: an equal one in a later version is the same chain, and its connections stay. */
  readonly fingerprint: string
  /** Hash of the TLS settings as they came; '' where there are none. */
  readonly tlsFingerprint: string
  readonly metadata: KithMetadata
  /** null: plaintext (or TLS that passes through). */
  readonly tls: DownstreamTls | null
  readonly rbac: readonly Rbac[]
  readonly terminal: HttpConnection | TcpProxy
}

export interface RuntimeListener {
  readonly name: string
  readonly address: SocketAddress
  /** Those of the other family. */
  readonly additional: readonly SocketAddress[]
  readonly direction: 'inbound' | 'outbound' | 'unspecified'
  readonly useOriginalDst: boolean
  readonly bindToPort: boolean
  readonly chains: readonly ChainEntry<RuntimeChain>[]
  readonly defaultChain?: RuntimeChain
  /** Destination ports on which the inspector is off. */
  readonly tlsInspector: ((destinationPort: number) => boolean) | null
  readonly httpInspector: ((destinationPort: number) => boolean) | null
  /** 0 = wait for ever. */
  readonly inspectTimeoutMs: number
  readonly continueOnTimeout: boolean
  readonly accessLogs: readonly AccessLog[]
}

const served = fields(`name address additional_addresses filter_chains default_filter_chain use_original_dst traffic_direction listener_filters listener_filters_timeout continue_on_listener_filters_timeout bind_to_port
  access_log metadata stat_prefix enable_reuse_port per_connection_buffer_limit_bytes drain_type connection_balance_config socket_options max_connections_to_accept_per_socket_event`)
const servedChain = fields('filter_chain_match filters metadata transport_socket name')
const builtIn = fields('istio.metadata_exchange istio.stats')

export function compileListener(listener: Listener, notes: Notes): RuntimeListener | undefined {
  notes.onlyServes(listener, served)
  const address = compileAddress(listener.address, notes)
  const chains = listener.filterChains.flatMap((chain, i) =>
    notes.at(`filter_chains[${chain.name === '' ? i : chain.name}]`, () => {
      const compiled = compileChain(chain, notes)
      return compiled === undefined ? [] : [compileChainMatch(chain.filterChainMatch, compiled, notes)]
    }),
  )
  const fallback = listener.defaultFilterChain === undefined ? undefined : notes.at('default_filter_chain', () => compileChain(listener.defaultFilterChain as FilterChain, notes))
  if (listener.filterChains.length === 0 && listener.defaultFilterChain === undefined && listener.useOriginalDst !== true) notes.error('no filter chain')
  if (duplicateCriteria(chains)) notes.error('two filter chains have the same filter_chain_match')
  if (address === undefined) return undefined
  return {
    name: listener.name,
    address,
    additional: listener.additionalAddresses.flatMap((a) => compileAddress(a.address, notes) ?? []),
    direction: listener.trafficDirection === 1 ? 'inbound' : listener.trafficDirection === 2 ? 'outbound' : 'unspecified',
    useOriginalDst: listener.useOriginalDst ?? false,
    bindToPort: listener.bindToPort ?? true,
    chains,
    ...(fallback === undefined ? {} : { defaultChain: fallback }),
    ...compileInspectors(listener, notes),
    inspectTimeoutMs: durationMs(listener.listenerFiltersTimeout, 15_000),
    continueOnTimeout: listener.continueOnListenerFiltersTimeout,
    accessLogs: compileAccessLogs(listener.accessLog, notes),
  }
}

function compileInspectors(listener: Listener, notes: Notes): Pick<RuntimeListener, 'tlsInspector' | 'httpInspector'> {
  let tlsInspector: RuntimeListener['tlsInspector'] = null
  let httpInspector: RuntimeListener['httpInspector'] = null
  listener.listenerFilters.forEach((filter, i) =>
    notes.at(`listener_filters[${i}]`, () => {
      const type = filter.configType.case === 'typedConfig' ? (filter.configType.value.typeUrl.split('/').at(-1) ?? '') : ''
      const off = filter.filterDisabled === undefined ? () => false : compilePredicate(filter.filterDisabled, notes)
      if (type.endsWith('.TlsInspector')) tlsInspector = (port) => !off(port)
      else if (type.endsWith('.HttpInspector')) httpInspector = (port) => !off(port)
      else if (!type.endsWith('.OriginalDst')) notes.error(`unknown listener filter ${filter.name} (${type})`)
    }),
  )
  return { tlsInspector, httpInspector }
}

type Predicate = NonNullable<Listener['listenerFilters'][number]['filterDisabled']>

function compilePredicate(predicate: Predicate, notes: Notes): (port: number) => boolean {
  const rule = predicate.rule
  switch (rule.case) {
    case 'anyMatch':
      return () => rule.value
    case 'destinationPortRange':
      return (port) => port >= rule.value.start && port < rule.value.end
    case 'notMatch': {
      const test = compilePredicate(rule.value, notes)
      return (port) => !test(port)
    }
    case 'orMatch': {
      const tests = rule.value.rules.map((r) => compilePredicate(r, notes))
      return (port) => tests.some((t) => t(port))
    }
    case 'andMatch': {
      const tests = rule.value.rules.map((r) => compilePredicate(r, notes))
      return (port) => tests.every((t) => t(port))
    }
    default:
      notes.error('filter_disabled has no rule')
      return () => false
  }
}

function compileChain(chain: FilterChain, notes: Notes): RuntimeChain | undefined {
  notes.onlyServes(chain, servedChain)
  const tls = compileDownstreamTls(chain.transportSocket, notes)
  const rbac: Rbac[] = []
  let terminal: HttpConnection | TcpProxy | undefined
  chain.filters.forEach((filter, i) =>
    notes.at(`filters[${i}]`, () => {
      const config = filter.configType.case === 'typedConfig' ? filter.configType.value : undefined
      const type = config?.typeUrl.split('/').at(-1) ?? ''
      if (terminal !== undefined) notes.error(`network filter ${filter.name} stands behind the one that ends the chain`)
      else if (type === hcmType) terminal = compileHttpConnection(config, notes)
      else if (type === tcpProxyType) terminal = compileTcpProxy(config, notes)
      else if (type === networkRbacType) {
        const compiled = compileNetworkRbac(config, notes)
        if (compiled !== undefined) rbac.push(compiled)
      } else if (type === networkFilterStateType) checkNetworkFilterState(config, notes)
      else if (!builtIn.has(filter.name)) notes.error(`unknown network filter ${filter.name} (${type})`)
    }),
  )
  if (terminal === undefined) {
    notes.error('no network filter that ends the chain (http_connection_manager or tcp_proxy)')
    return undefined
  }
  if (tls === undefined) return undefined
  const fingerprint = hashOf(toBinary(message<FilterChain>('envoy.config.listener.v3.FilterChain'), chain))
  return { name: chain.name, fingerprint, tlsFingerprint: tlsFingerprintOf(chain.transportSocket), metadata: kithMetadata(chain.metadata), tls, rbac, terminal }
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('base64')
}

function tlsFingerprintOf(socket: FilterChain['transportSocket']): string {
  return socket === undefined ? '' : hashOf(toBinary(message<typeof socket>('envoy.config.core.v3.TransportSocket'), socket))
}

/** The chain that takes a connection, the default chain, or undefined: close it. */
export function chooseChain(listener: RuntimeListener, facts: ConnectionFacts): RuntimeChain | undefined {
  return matchChain(listener.chains, facts) ?? listener.defaultChain
}
