// Inside the sandbox, its first process: brings everything up, keeps it, takes it down when told or when the one outside has gone.
// Law: standard input is the lifeline; when it ends, so does the mesh.
import { rmSync, writeFileSync } from 'node:fs'
import { describeFailure } from '#lib/errors.ts'
import { startMeshInside } from './mesh-inside.ts'
import type { SupervisorOptions } from './options.ts'

/** The command that started the mesh reads it from our standard output. */
function fail(error: unknown): never {
  writeFileSync(1, `${JSON.stringify({ event: 'failed', ...describeFailure(error) })}\n`)
  process.exit(1)
}

process.on('uncaughtException', fail)
process.on('unhandledRejection', fail)

const options = JSON.parse(process.argv[2] ?? '{}') as SupervisorOptions

try {
  const mesh = await startMeshInside(options)
  let ending = false
  const end = (why: string): void => {
    if (ending) return
    ending = true
    void mesh.stop(why).finally(() => {
      rmSync(options.stateDir, { recursive: true, force: true })
      process.exit(0)
    })
  }
  mesh.onDown((why) => end(why ?? 'kith down'))
  process.stdin.on('data', () => undefined).on('end', () => end('the command that started the mesh has ended')).on('error', () => end('the command that started the mesh has ended'))
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => end(signal))
  process.stdout.write('{"event":"listening"}\n')
} catch (error) {
  fail(error)
}
