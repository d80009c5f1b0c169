// What a pod's rules are and who said so: its init container's own arguments where it has them, else its
// annotations over the installation's defaults.
import type { NftTable } from '#netlink'
import { readRedirectCommand } from './command-line.ts'
import {
  annotationOf,
  interceptionOf,
  type InterceptionDefaults,
  type InterceptionOptions,
} from './options.ts'
import { passage, type Passage } from './passage.ts'
import { interceptionRules } from './rules.ts'

interface Container {
  readonly name?: string
  readonly args?: readonly string[]
  readonly securityContext?: User
}

interface User {
  readonly runAsUser?: number
  readonly runAsGroup?: number
}

/** A pod, or what a template will make. */
export interface PodToIntercept {
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: {
    readonly initContainers?: readonly Container[]
    readonly containers?: readonly Container[]
    readonly securityContext?: User
  }
  readonly defaults: InterceptionDefaults
  /**
   * Runs already: without an init container of the sidecar's, applications run as the machine's own users,
   * whatever their securityContext says.
   */
  readonly observed: boolean
}

export interface PodInterception {
  /** null: interception mode NONE; no rule is written. */
  readonly table: NftTable | null
  readonly options: InterceptionOptions
  /**
   * Where in the pod the option is said: `annotations.…`, or `initContainers[0].args`; undefined: a default.
   */
  said(
    option: keyof InterceptionOptions | 'mode',
  ): { readonly part: 'metadata' | 'spec'; readonly path: string } | undefined
  /** Of each application container whose user the rules take for the sidecar's own. */
  readonly asSidecar: readonly { readonly name: string; readonly path: string }[]
  /** Every application container is such a one. */
  readonly allAsSidecar: boolean
  /** Where what arrives at this port of the pod goes. null: a port that no rule names. */
  inbound(port: number | null): Passage
  /** Ports that some inbound rule names. */
  readonly namedPorts: readonly number[]
}

const network = 'eth0'
const setup = new Set(['istio-init', 'istio-validation'])
const sidecars = new Set(['istio-proxy', ...setup])
/** Of a network for documentation: an address of no pod. */
const somePod = '192.0.2.9'

export function podInterception(pod: PodToIntercept): PodInterception {
  const read = interceptionOf(pod.annotations, pod.defaults)
  const command = initCommand(pod)
  const options: InterceptionOptions = command?.options ?? read.options
  const mode = command?.mode ?? read.mode
  const table = mode === 'NONE' ? null : interceptionRules(options)
  const { asSidecar, count } = sidecarUsers(pod, options, command !== undefined)
  const namedPorts = [
    ...new Set([
      ...(Array.isArray(options.includeInboundPorts)
        ? (options.includeInboundPorts as readonly number[])
        : []),
      ...(options.excludeInboundPorts ?? []),
    ]),
  ]
  const unnamed = Array.from({ length: namedPorts.length + 1 }, (_, i) => 65_535 - i).find(
    (p) => !namedPorts.includes(p),
  ) as number
  const known = new Map<number, Passage>()
  return {
    table,
    options,
    asSidecar,
    allAsSidecar: count > 0 && asSidecar.length === count,
    namedPorts,
    said(option) {
      const annotation = annotationOf(option, pod.annotations)
      if (annotation !== undefined) return { part: 'metadata', path: `annotations.${annotation}` }
      return command === undefined
        ? undefined
        : { part: 'spec', path: `initContainers[${command.index}].args` }
    },
    inbound(number) {
      const port = number ?? unnamed
      const before = known.get(port)
      if (before !== undefined) return before
      const found =
        table === null
          ? { redirectedTo: null, option: null }
          : passage(table, {
              hook: 'prerouting',
              protocol: 'tcp',
              destination: somePod,
              port,
              interface: network,
            })
      if (known.size < 1000) known.set(port, found)
      return found
    },
  }
}

/** What the init container is told; undefined: there is none, or its arguments can't be read. */
function initCommand({
  spec,
}: PodToIntercept):
  | { readonly options: InterceptionOptions; readonly index: number; readonly mode: 'REDIRECT' | undefined }
  | undefined {
  const index = (spec.initContainers ?? []).findIndex((c) => setup.has(c.name ?? ''))
  const args = spec.initContainers?.[index]?.args ?? []
  const flags = args.slice(
    Math.max(
      0,
      args.findIndex((a) => a.startsWith('-')),
    ),
  )
  if (!flags.some((a) => a.startsWith('-'))) return undefined
  try {
    return { options: readRedirectCommand(flags, ['ip', 'ip6']).options, index, mode: 'REDIRECT' }
  } catch {
    return undefined
  }
}

/** Processes of the sidecar's uid or gid pass by the sidecar, whoever they are. */
function sidecarUsers(
  pod: PodToIntercept,
  { exemption = { by: 'owner', uid: 1337, gid: 1337 } }: InterceptionOptions,
  initialised: boolean,
): { readonly asSidecar: PodInterception['asSidecar']; readonly count: number } {
  const all = (pod.spec.containers ?? [])
    .map((c, i) => ({ c, i }))
    .filter(({ c }) => !sidecars.has(c.name ?? ''))
  if (exemption.by === 'mark' || (pod.observed && !initialised)) return { asSidecar: [], count: all.length }
  const asSidecar = all.flatMap(({ c, i }) => {
    const of = (field: keyof User, own: number): string[] => {
      if (c.securityContext?.[field] !== undefined)
        return c.securityContext[field] === own ? [`containers[${i}].securityContext.${field}`] : []
      return pod.spec.securityContext?.[field] === own ? [`securityContext.${field}`] : []
    }
    const [path] = [...of('runAsUser', exemption.uid), ...of('runAsGroup', exemption.gid)]
    return path === undefined ? [] : [{ name: c.name ?? '', path }]
  })
  return { asSidecar, count: all.length }
}
