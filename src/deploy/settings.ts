// Values → what the manifests go by: names, labels, images, each settled once. Pure.
import { isRecord } from '#api'
import { invariant } from '#lib/errors.ts'
import { version } from '#lib/version.ts'
import type { Values } from './default-values.ts'

export interface Settings {
  readonly values: Values
  /** As sidecars and labels have it: `default` where none is named. */
  readonly revision: string
  /** `istiod`, or `istiod-canary`. */
  readonly name: string
  /** '' or `-canary`: what a revision adds to the names of its ConfigMaps and webhooks. */
  readonly suffix: string
  readonly namespace: string
  readonly revisionTags: readonly string[]
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
}

/** Which installation an object belongs to: what an upgrade or `uninstall --revision` looks for. */
export const installationLabel = 'install.kith.dev/revision'
/** Said of every object that an installation makes. */
export const managedBy = { 'app.kubernetes.io/managed-by': 'kith', 'app.kubernetes.io/part-of': 'istio' }

export function settingsOf(values: Values): Settings {
  const revisionName = textAt(values, 'revision')
  const revision = revisionName === '' ? 'default' : revisionName
  const suffix = revision === 'default' ? '' : `-${revision}`
  const tags = valueAt(values, 'revisionTags')
  return {
    values, revision, suffix, name: `istiod${suffix}`, namespace: textAt(values, 'global.istioNamespace'), revisionTags: Array.isArray(tags) ? tags.map(String) : [],
    image: imageOf(values),
    labels: { ...managedBy, 'app.kubernetes.io/name': 'istiod', 'app.kubernetes.io/version': version, [installationLabel]: revision, app: 'istiod', 'istio.io/rev': revision },
  }
}

function imageOf(values: Values): string {
  const image = textAt(values, 'pilot.image')
  if (image.includes('/')) return image
  const either = (own: string, general: string): string => (textAt(values, own) === '' ? textAt(values, general) : textAt(values, own))
  return `${either('pilot.hub', 'global.hub')}/${image}:${either('pilot.tag', 'global.tag')}`
}

export function valueAt(values: Values, path: string): unknown {
  return path.split('.').reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), values)
}

export function textAt(values: Values, path: string): string {
  const found = valueAt(values, path)
  return typeof found === 'string' || typeof found === 'number' ? String(found) : ''
}

export function mapAt(values: Values, path: string): Values {
  const found = valueAt(values, path)
  return isRecord(found) ? found : {}
}

export function listAt(values: Values, path: string): readonly unknown[] {
  const found = valueAt(values, path)
  return Array.isArray(found) ? found : []
}

export function numberAt(values: Values, path: string): number {
  const found = valueAt(values, path)
  invariant(typeof found === 'number', 'a value that must be a number was not checked')
  return found
}
