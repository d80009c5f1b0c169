// Which generation of resources a sidecar of ours understands: it says so in its node's metadata, so that a newer control plane can tell why it refuses.
// Law: raised by one with every change of what is generated that sidecars from before would refuse (a filter, a required field); never for what they may leave out.
export const resourceLevel = 1
export const levelName = 'KITH_RESOURCE_LEVEL'

/** undefined: no sidecar of ours (an Envoy answers for itself), or one from before there were levels. */
export function levelOf(metadata: Readonly<Record<string, unknown>> | undefined): number | undefined {
  const level = Number(metadata?.[levelName])
  return Number.isInteger(level) && level > 0 ? level : undefined
}

/** A sentence where sidecar and control plane are of different age; undefined where they are not. */
export function skew(metadata: Readonly<Record<string, unknown>> | undefined): string | undefined {
  if (metadata?.['GENERATOR'] !== 'kith') return undefined
  const level = levelOf(metadata) ?? 0
  if (level === resourceLevel) return undefined
  return level < resourceLevel
    ? 'its sidecar is older than this control plane, and keeps its last good configuration where it does not understand a new one: restart the pod'
    : 'its sidecar is newer than this control plane: upgrade the control plane first'
}
