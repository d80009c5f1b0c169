// The bill of materials of what npm brings to a user: CycloneDX, made by `npm sbom` from the lock file.
// Law: the same checkout gives the same bytes, so the document has neither a serial number nor a time.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { home } from './commands-as-written.ts'

/** A CycloneDX component: https://cyclonedx.org/docs/1.5/json/#components */
export interface Component {
  readonly type: 'library' | 'application'
  readonly name: string
  readonly version?: string
  readonly hashes?: readonly { readonly alg: 'SHA-256' | 'SHA-512'; readonly content: string }[]
  readonly [field: string]: unknown
}

interface Bom {
  readonly metadata: { readonly component: Readonly<Record<string, unknown>>; readonly lifecycles?: unknown }
  readonly components: readonly (Component & { readonly 'bom-ref': string })[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
  readonly [field: string]: unknown
}

interface Lock {
  readonly name: string
  readonly packages: Readonly<Record<string, { readonly version: string; readonly dev?: boolean }>>
}

/**
 * @param more components that npm does not know, such as the C library of an image
 * @returns the document as JSON text
 * @throws Error where npm is missing or refuses
 */
export function billOfMaterials(more: readonly Component[] = []): string {
  // Not --omit=dev: npm 11 then leaves out production packages that a development dependency needs too.
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx', '--sbom-type=application']
  const { status, stdout, stderr, error } = spawnSync('npm', args, { cwd: home, encoding: 'utf8', maxBuffer: 1 << 26 })
  if (status !== 0) throw new Error(`npm ${args.join(' ')} failed: ${error?.message ?? stderr.trim()}`)
  const { serialNumber: _serial, metadata, components, dependencies, ...rest } = JSON.parse(stdout) as Bom
  const lock = JSON.parse(readFileSync(join(home, 'package-lock.json'), 'utf8')) as Lock
  const shipped = new Set(
    Object.entries(lock.packages).flatMap(([path, { version, dev }]) => (dev === true ? [] : `${packageAt(path)}@${version}`)),
  )
  const root = String(metadata.component['bom-ref'])
  const isShipped = (ref: string): boolean => ref === root || shipped.has(ref)
  const bom = {
    ...rest,
    metadata: { lifecycles: metadata.lifecycles, component: { ...metadata.component, name: lock.name } },
    components: [...components.filter((c) => isShipped(c['bom-ref'])), ...more],
    dependencies: dependencies.flatMap((d) =>
      isShipped(d.ref) ? { ...d, dependsOn: d.dependsOn.filter(isShipped) } : [],
    ),
  }
  return `${JSON.stringify(bom, undefined, 2)}\n`
}

/** `node_modules/a/node_modules/@b/c` → `@b/c` */
function packageAt(path: string): string {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}
