// What users write (Helm's values, an IstioOperator, --set) → whole values, and what of it means nothing here.
// Law: a key that nobody knows is a problem that names the nearest one; it is never passed over in silence.
import { decodeMeshConfig, isRecord, unservedMeshConfig } from '#api'
import { nearest } from '#lib/nearest.ts'
import type { Problem } from '#lib/problem.ts'
import { defaultValues, freeKeys, withoutEffect, type Values } from './default-values.ts'
import { valuesOfOperator } from './operator.ts'

/** The value counts: it is what is not there that its owner must hear of. */
const noCniPlugin = 'pilot.cni.enabled is set, and Kith brings no CNI plugin. Pods get the init container istio-validation in place of istio-init, and do not start unless a CNI plugin that is there already redirects their traffic'

export interface ResolvedValues {
  readonly values: Values
  readonly problems: readonly Problem[]
}

/** One thing that a user gave: where (`values.yaml`, `--set`), and what. Later ones win. */
export interface Layer {
  readonly from: string
  readonly value: unknown
}

export function resolveValues(layers: readonly Layer[]): ResolvedValues {
  const problems: Problem[] = []
  let values = defaultValues
  for (const { from, value } of layers) {
    if (value === null || value === undefined) continue
    if (!isRecord(value)) {
      problems.push(problem(from, '', 'error', 'values must be a map of keys'))
      continue
    }
    const plain = valuesOfOperator(value)
    for (const at of plain.unknown) problems.push(problem(from, at, 'warning', `nothing here reads ${at}`))
    checkKeys(defaultValues, plain.values, '', from, problems)
    const { meshConfig } = plain.values
    if (isRecord(meshConfig)) problems.push(...ofMeshConfig(meshConfig, from))
    values = mergeValues(values, plain.values)
  }
  const { pilot } = values
  if (isRecord(pilot) && isRecord(pilot['cni']) && pilot['cni']['enabled'] === true) problems.push(problem('values', 'pilot.cni.enabled', 'warning', noCniPlugin))
  return { values, problems }
}

/** What can't be read, and what is read and changes nothing. */
function ofMeshConfig(meshConfig: Values, from: string): Problem[] {
  const { config, problems } = decodeMeshConfig(meshConfig, {})
  return [...problems.map((p) => problem(from, `meshConfig.${p.ref.path}`, p.severity, `meshConfig.${p.ref.path}: ${p.message}`, p.help)), ...unservedMeshConfig(config).map(({ field, meaning }) => problem(from, `meshConfig.${field}`, 'warning', `meshConfig.${field} has no effect: ${meaning}`))]
}

/** Maps are laid over one another, anything else replaces; null takes a key away, as Helm's does. */
export function mergeValues(below: Values, above: Values): Values {
  const out: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above)) {
    const before = out[key]
    if (value === null) delete out[key]
    else if (isRecord(value)) out[key] = mergeValues(isRecord(before) ? before : {}, value)
    else out[key] = value
  }
  return out
}

function checkKeys(known: Values, given: Values, path: string, from: string, problems: Problem[]): void {
  for (const [key, value] of Object.entries(given)) {
    const at = path === '' ? key : `${path}.${key}`
    const why = withoutEffect[at]
    if (why !== undefined) {
      problems.push(problem(from, at, 'warning', `${at} has no effect: ${why}`))
      continue
    }
    if (!Object.hasOwn(known, key)) {
      const near = nearestKey(at)
      problems.push(problem(from, at, 'warning', `there is no value ${at}, so it changes nothing`, near === undefined ? undefined : `did you mean ${near}?`))
      continue
    }
    const below = known[key]
    if (freeKeys.has(at)) {
      if (!isRecord(value) && value !== null) problems.push(problem(from, at, 'error', `${at} must be a map, not ${JSON.stringify(value)}`))
    } else if (isRecord(below)) {
      if (isRecord(value)) checkKeys(below, value, at, from, problems)
      else if (value !== null) problems.push(problem(from, at, 'error', `${at} must be a map, not ${JSON.stringify(value)}`))
    } else if (typeof below === 'string' && typeof value === 'number' && !Number.isInteger(value)) {
      problems.push(problem(from, at, 'warning', `${at} is read as the number ${value}, which keeps no trailing zeros`, 'write it in quotes'))
    } else if (!sameType(below, value)) problems.push(problem(from, at, 'error', `${at} must be ${typeName(below)}, not ${JSON.stringify(value)}`))
  }
}

function sameType(wanted: unknown, value: unknown): boolean {
  if (value === null) return true
  if (Array.isArray(wanted)) return Array.isArray(value)
  if (typeof wanted === 'number') return typeof value === 'number'
  // A tag such as 12 is a number for YAML.
  if (typeof wanted === 'string') return typeof value === 'string' || typeof value === 'number'
  return typeof value === typeof wanted
}

function typeName(wanted: unknown): string {
  return Array.isArray(wanted) ? 'a list' : typeof wanted === 'boolean' ? 'true or false' : `a ${typeof wanted}`
}

/** The known key that is likest: the same path but for a slip, or the same last name elsewhere. */
function nearestKey(path: string): string | undefined {
  const all = leafPaths(defaultValues, '')
  const last = path.slice(path.lastIndexOf('.') + 1)
  return nearest(path, all) ?? all.find((p) => p.slice(p.lastIndexOf('.') + 1) === last) ?? all.find((p) => nearest(last, [p.slice(p.lastIndexOf('.') + 1)]) !== undefined)
}

function leafPaths(values: Values, path: string): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const at = path === '' ? key : `${path}.${key}`
    return isRecord(value) && !freeKeys.has(at) ? [at, ...leafPaths(value, at)] : [at]
  })
}

function problem(from: string, path: string, severity: Problem['severity'], message: string, help?: string): Problem {
  return { code: 'KITH0040', severity, ref: { kind: '', namespace: '', name: '', path, file: from }, message, ...(help === undefined ? {} : { help }) }
}
