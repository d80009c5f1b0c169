// What is saved while the mesh runs, besides objects: kith.yaml, and files that were refused and are well again.
import { watchFiles, type FileWatch } from '#sources'
import type { Problem, Ref } from '#lib/problem.ts'
import { readMeshFile, type MeshFile } from '../mesh-file.ts'
import type { EventBody } from './cluster.ts'

/** Given what is wrong now, the files in which something was and nothing is any more. */
export function brokenFiles(): (problems: readonly Problem[]) => readonly string[] {
  let before: ReadonlySet<string> = new Set()
  return (problems) => {
    const now = new Set(problems.flatMap((p) => (p.severity === 'error' && p.ref.file !== undefined ? [p.ref.file] : [])))
    const mended = [...before].filter((f) => !now.has(f))
    before = now
    return mended
  }
}

/** Images' commands hold at once; the rest is what the mesh was built with, and says so. */
export function watchMeshFile(dir: string, started: MeshFile, useImages: (images: MeshFile['images']) => void, emit: (event: EventBody) => void): FileWatch {
  const path = started.path as string
  let before = started
  return watchFiles([path], () => {
    const now = readMeshFile(dir)
    if (now.path === undefined || JSON.stringify(now) === JSON.stringify(before)) return
    for (const problem of now.problems) emit({ event: 'problem', problem })
    if (now.problems.some((p) => p.severity === 'error')) return
    const other = changedFields(started, now)
    for (const field of changedFields(before, now).filter((f) => other.includes(f))) {
      const ref: Ref = { kind: 'LocalMesh', namespace: '', name: 'kith.yaml', path: `spec.${field}`, file: path }
      emit({ event: 'problem', problem: { code: 'KITH0207', severity: 'warning', ref, message: 'this has changed, and is read when the mesh starts', help: 'end kith up and start it again' } })
    }
    before = now
    useImages(now.images)
  })
}

/** Fields of spec that a running mesh does not take up. */
export function changedFields(before: MeshFile, now: MeshFile): readonly string[] {
  const fields = { resources: 'resources', external: 'external', meshConfig: 'meshConfig', proxy: 'proxy', certTtlSeconds: 'workloadCertTtl' } as const
  return Object.entries(fields).filter(([key]) => JSON.stringify(before[key as keyof typeof fields]) !== JSON.stringify(now[key as keyof typeof fields])).map(([, name]) => name)
}
