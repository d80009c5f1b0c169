// One golden case: a folder with in.yaml, which is complete: its first document says which proxy and which calls, the others are the objects.
import { readFileSync } from 'node:fs'
import { globSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Problem } from '#lib/problem.ts'
import { isRecord } from '#api'
import { generate, generateEndpoints } from '#generate'
import { findWorkload } from '#insight'
import { buildMesh, type Mesh } from '#mesh'
import { planContext, planEndpoints, planFrom, type EndpointsPlan, type ProxyPlan } from '#plan'
import { decodeObjects, parseYaml } from '#sources'
import type { Resource } from '#xds'
import { meshConfigOf } from '../../src/cli/load-mesh.ts'

export interface GoldenCase {
  readonly folder: string
  /** `httpbin.foo` */
  readonly proxy: string
  readonly calls: readonly { readonly from: string; readonly to: string }[]
  readonly mesh: Mesh
  /** What decoding found wrong. */
  readonly problems: readonly Problem[]
}

export interface ProxyConfig {
  readonly plan: ProxyPlan
  readonly endpoints: readonly EndpointsPlan[]
  /** CDS, LDS, RDS, then EDS. */
  readonly resources: readonly Resource[]
}

/** Folders of all cases, sorted: `test/golden/<topic>/<case>`; those of injection are inject/inject-golden.test.ts’s. */
export function goldenFolders(): string[] {
  return globSync(`${import.meta.dirname}/*/*/in.yaml`).map((file) => dirname(file)).filter((folder) => !folder.includes('/inject/')).sort()
}

/** Throws where the first document is not a GoldenCase: a case that tests nothing must not pass. */
export function readCase(folder: string): GoldenCase {
  const { documents } = parseYaml(readFileSync(join(folder, 'in.yaml'), 'utf8'), 'in.yaml')
  const [head, ...rest] = documents
  const asked = head?.value
  if (!isRecord(asked) || asked['kind'] !== 'GoldenCase' || typeof asked['proxy'] !== 'string' || !Array.isArray(asked['calls'])) throw new Error(`${folder}/in.yaml: the first document must be a GoldenCase with proxy and calls`)
  const decoded = decodeObjects(rest)
  const config = meshConfigOf(decoded.objects)
  return {
    folder, proxy: asked['proxy'], calls: asked['calls'] as GoldenCase['calls'], mesh: buildMesh(decoded.objects, { meshConfig: config.config }), problems: [...decoded.problems, ...config.problems],
  }
}

/** All that one proxy is told. `name`: `sleep.foo`. */
export function configOf(mesh: Mesh, name: string): ProxyConfig {
  const context = planContext(mesh, findWorkload(mesh, name))
  const plan = planFrom(context)
  const endpoints = planEndpoints(context, plan)
  return { plan, endpoints, resources: [...generate(plan), ...endpoints.map(generateEndpoints)] }
}
