// The names by which a client may call a host. Istio: GenerateAltVirtualHosts, generateAltVirtualHostsForKubernetesService.
import { isIP } from 'node:net'
import type { PlanContext } from './context.ts'

/** The host itself, then its other names: what ends like the mesh's services is one of them, whoever declared it. */
export function namesOf({ mesh, client }: Pick<PlanContext, 'mesh' | 'client'>, host: string): string[] {
  if (isIP(host) !== 0) return [host]
  const names = [host, `${host}.`]
  const domain = `.svc.${mesh.options.domain}`
  if (!host.endsWith(domain)) return names
  const short = host.slice(0, -domain.length)
  const dot = short.indexOf('.')
  if (dot < 0) return names
  return [...names, ...(short.slice(dot + 1) === client.namespace ? [short.slice(0, dot)] : []), `${short}.svc`, short]
}
